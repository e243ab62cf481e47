"""Which restore points are known to be damaged: by this machine's verifications, and by notes at the target."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from backup.errors import BackupError, Cancelled
from backup.model import instant_name
from backup.notes.damage import read_damage
from backup.restoring.known_damage import read_damage_of
from backup.restoring.verification_book import VerificationBook
from backup.when import local

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backup.model import RestorePoint
    from backup.notes.damage import DamageNote
    from backup.station.station import Station


@dataclass(frozen=True, slots=True)
class PointDamage:
    """What is known to be wrong with a point, in words. is_restorable: only its list of files is damaged."""

    words: str
    is_restorable: bool


def known_damage(station: Station, points: Sequence[RestorePoint]) -> dict[str, PointDamage]:
    """Return what is known to be wrong with points of a set, by the names of their manifests.

    A note tells of a chain only: whichever of its points a verification here does not know to be lost may be whole.
    """
    book = VerificationBook(station.settings.state, station.place, is_kept=False).read()
    copy = (book.get("copies") or {}).get(station.chosen.target) or {}
    known = read_damage_of(copy)
    read_at = _instant((copy.get("whole") or {}).get("read"))
    found: dict[str, PointDamage] = {}
    for chain in dict.fromkeys(point.manifest.chain for point in points):
        names = [point.manifest.name for point in points if point.manifest.chain == chain]
        note = _note(station, chain)
        if note is not None:
            since = ""
            if read_at is not None and read_at > note.found_at:
                since = f"; on {local(read_at)} all was read here as it was sent: bkp drill tells whether it comes back"
            found |= dict.fromkeys(names, PointDamage(f"in this chain {note.said}{since}", note.is_of_lists))
    if known is not None:
        for instants, is_restorable in ((known.unlisted_at, True), (known.lost_at, False)):
            named = {point.manifest.name for point in points if instant_name(point.at) in instants}
            words = f"its list of files is damaged: {known.what}" if is_restorable else known.what
            found |= dict.fromkeys(named, PointDamage(words, is_restorable))
    return found


def _instant(text: object) -> datetime | None:
    try:
        return None if text is None else datetime.fromisoformat(str(text))
    except ValueError:
        return None


def _note(station: Station, chain: str) -> DamageNote | None:
    try:
        return read_damage(station.target, station.place, chain)
    except Cancelled:
        raise
    except BackupError:
        return None  # who lists wants to know what there is; verify says what is wrong
