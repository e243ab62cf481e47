"""Which restore points are known to be damaged: by this machine's verifications, and by notes at the target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backup.errors import BackupError, Cancelled
from backup.model import instant_name
from backup.restoring.damage import doubt_of_damage
from backup.restoring.known_damage import read_damage_of
from backup.restoring.verification_book import VerificationBook

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backup.model import RestorePoint
    from backup.restoring.station import Station


def known_damage(station: Station, points: Sequence[RestorePoint]) -> dict[str, str]:
    """Return what is known to be wrong with points of a set, in words, by the names of their manifests.

    A note tells of a chain only: whichever of its points a verification here does not know to be lost may be whole.
    """
    book = VerificationBook(station.settings.state, station.place, is_kept=False).read()
    known = read_damage_of((book.get("copies") or {}).get(station.chosen.target) or {})
    found: dict[str, str] = {}
    for chain in dict.fromkeys(point.manifest.chain for point in points):
        names = [point.manifest.name for point in points if point.manifest.chain == chain]
        doubt = _doubt(station, chain)
        if doubt is not None:
            found |= dict.fromkeys(names, f"in this chain {doubt}")
    if known is not None:
        lost = set(known.lost_at)
        found |= {point.manifest.name: known.what for point in points if instant_name(point.at) in lost}
    return found


def _doubt(station: Station, chain: str) -> str | None:
    try:
        return doubt_of_damage(station.target, station.place, chain)
    except Cancelled:
        raise
    except BackupError:
        return None  # who lists wants to know what there is; verify says what is wrong
