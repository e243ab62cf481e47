"""Which restore points this host knew at each target of a set, so that those which vanish from there are told.

Pruning is no vanishing. It takes whole chains, the full's manifest first, and never the newest chain that can be
restored: a chain of which nothing restorable is left, behind a newer one that can be restored, may have been pruned.
Anything else that is gone no rule of retention took, nor a chain that is expected to stay (`expected.py`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from backup.errors import WorkFailed
from backup.model import Status, instant_name, read_instant
from backup.runtime.durable import write_durably

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from backup.catalogue import Catalogue
    from backup.model import RunRecord
    from backup.saving.journal import Journal

_FORM: Final = "watchkeep-known-points-1"
_ENDING: Final = ".json.asc"
_MOST: Final = 10_000  # of one target: the newest
_MOST_TOLD: Final = 20

Points: TypeAlias = dict[str, str]
"""Names of points (their instants) and the chain of each."""


class KnownPoints:
    """What a set's work folder says of the points at its targets."""

    def __init__(self, journal: Journal) -> None:
        self._file = journal.folder / "known-points.json"
        self._kept = ""
        self._table = self._read()

    def seed(self, target: str, records: Iterable[RunRecord]) -> None:
        """Where nothing was ever written down: take what the journal's good runs made for known at `target`."""
        if not self._table:
            good = [each for each in records if each.status is Status.OK]
            self._table[target] = {
                "points": {instant_name(each.at): each.chain for each in good if each.at and each.chain}
            }

    def of(self, target: str) -> Points:
        """Return what was known at a target, without what was told as vanished."""
        found: Points = self._table.get(target, {}).get("points", {})
        return found

    def look(self, target: str, there: Catalogue, expected: Collection[str] = ()) -> Points:
        """Return the points that vanished from a target, found now or before, and know what is there from now on.

        expected: the chains that are known to be kept.
        """
        entry = self._table.get(target, {})
        before: Points = entry.get("vanished", {})
        vanished = before | vanished_points(self.of(target), there, expected)
        listed = _listed(there)
        vanished = {name: vanished[name] for name in sorted(vanished) if name not in listed}
        self._table[target] = {"points": points_there(there), "vanished": vanished}
        return vanished

    def forget(self, targets: Iterable[str]) -> None:
        """Know nothing of these targets: they are taken as they are."""
        for target in targets:
            self._table[target] = {}

    def write(self) -> None:
        """Keep it, durably, unless it is what is kept. Raises WorkFailed."""
        kept = {
            target: {what: dict(sorted(points.items())[-_MOST:]) for what, points in entry.items()}
            for target, entry in self._table.items()
        }
        text = json.dumps({"form": _FORM, "targets": kept}) + "\n"
        if text == self._kept:
            return
        try:
            write_durably(self._file, text)
        except OSError as error:
            raise WorkFailed(f"{self._file} cannot be written: {error.strerror}") from error
        self._kept = text

    def _read(self) -> dict[str, dict[str, Points]]:
        """Return what was kept; nothing where it cannot be understood: the journal seeds it anew."""
        try:
            text = self._file.read_text(encoding="utf-8")
            found = json.loads(text)
            table = {
                str(target): {what: {str(name): str(chain) for name, chain in points.items()} for what, points in
                              entry.items()}
                for target, entry in found["targets"].items()
            }  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}
        self._kept = text
        return table


def gone_points(known: Mapping[str, str], there: Catalogue) -> Points:
    """Return those of `known` that are not at a target any more, for whatever reason."""
    listed = _listed(there)
    return {name: chain for name, chain in known.items() if name not in listed}


def vanished_points(known: Mapping[str, str], there: Catalogue, expected: Collection[str] = ()) -> Points:
    """Return those of `known` that are gone from a target though no prune takes them.

    expected: chains that a prune leaves there beside the newest.
    """
    newest = there.latest(there.whole).manifest.chain if there.whole else ""
    kept = {point.manifest.chain for point in there.whole}.union(expected)
    return {name: chain for name, chain in gone_points(known, there).items() if chain >= newest or chain in kept}


def vanished_table(vanished: Mapping[str, Mapping[str, str]]) -> list[dict[str, Any]]:
    """Return by target what state/<set>.json says of vanished points; empty when none has vanished anywhere."""
    return [
        {
            "target": target,
            "count": len(points),
            "points": [read_instant(name).isoformat() for name in sorted(points)[-_MOST_TOLD:]],
        }
        for target, points in vanished.items()
        if points
    ]


def points_there(there: Catalogue) -> Points:
    """Return the points that a catalogue has."""
    return {point.manifest.name.removesuffix(_ENDING): point.manifest.chain for point in there.points}


def _listed(there: Catalogue) -> set[str]:
    """Return the names of all that lie there, whether they count or not: what does not count a verification tells."""
    return {*points_there(there), *(each.name.removesuffix(_ENDING) for each in there.refused)}
