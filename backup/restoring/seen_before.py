"""What a station saw at a copy before: a manifest that is gone is known by that, though nothing names it any more.

No other names the newest manifest of a chain. Without a memory of it, a deleted one looks like that of a run which was
killed before it was signed.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from backup.catalogue import MANIFEST_ENDING
from backup.errors import ObjectMissing
from backup.model import read_instant
from backup.restoring.manifest_damage import Damage
from backup.saving.expected import expected_chains
from backup.saving.known_points import gone_points, points_there, vanished_points

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from backup.catalogue import Catalogue
    from backup.station.station import Station


def vanished_here(station: Station, catalogue: Catalogue, seen: Mapping[str, str]) -> Mapping[str, str]:
    """Return those of `seen` (names of points and their chains) that are gone though no prune takes them.

    None where nothing lies any more: that is told as a whole. Raises what the target raises.
    """
    if not catalogue.points:
        return {}
    told = {each.name.removesuffix(MANIFEST_ENDING) for each in catalogue.missing}
    retention = station.chosen.retention
    expected: Collection[str] = ()
    if gone_points(seen, catalogue):
        rules = None if retention is None else retention.rules
        expected = expected_chains(station.target, station.place, rules, seen, catalogue, datetime.now(UTC))
    return {
        name: chain
        for name, chain in vanished_points(seen, catalogue, expected).items()
        if name not in told and _is_gone(station, name)  # a list may lag
    }


def seen_now(catalogue: Catalogue, seen: Mapping[str, str], vanished: Mapping[str, str]) -> dict[str, str]:
    """Return what to remember: what is there, and what vanished; all that was, while nothing is there."""
    return {**points_there(catalogue), **vanished} if catalogue.points else dict(seen)


def vanished_manifests(station: Station, vanished: Mapping[str, str]) -> Iterator[Damage]:
    """Yield each manifest that vanished, with the point that it was."""
    for name in sorted(vanished):
        what = "it is gone: an earlier verification of this machine saw it here, and no prune takes it"
        yield Damage(name=_path(station, name), what=what, kills=(read_instant(name),))


def _is_gone(station: Station, name: str) -> bool:
    try:
        station.target.stat(_path(station, name))
    except ObjectMissing:
        return True
    return False


def _path(station: Station, name: str) -> str:
    return f"{station.place.points}/{name}{MANIFEST_ENDING}"
