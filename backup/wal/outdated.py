"""Which archived WAL no restore point needs any more: what lies before the oldest base backup that stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backup.wal.archive import WalArchive
from backup.wal.names import number_of
from backup.wal.recovery import KIND, base_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from backup.keys.ring import KeyRing
    from backup.model import Manifest, Place
    from backup.targets.contract import Target
    from backup.wal.choice import Base
    from backup.wal.names import WalObject


def outdated_wal(
    target: Target, place: Place, ring: KeyRing, staying: Iterable[Manifest], settled_before: datetime
) -> Mapping[str, int]:
    """Return the files that go, by their names at the target with their bytes.

    staying: every manifest that stays, in doubt or not. settled_before: of a cluster without any base backup only what
    was written before this goes, which has to be longer ago than a run may take: one may be under way, or have been
    listed too early. Histories of timelines always stay. Raises what the target raises.
    """
    oldest: dict[int, Base] = {}
    for manifest in staying:
        if manifest.source == KIND:
            base = base_of(manifest)
            known = oldest.get(base.system_identifier)
            if known is None or base.start_lsn < known.start_lsn:
                oldest[base.system_identifier] = base
    going: dict[str, int] = {}
    for folder in target.folders(place.wal):
        if not folder.isascii() or not folder.isdigit():
            continue
        archive = WalArchive(target, place, ring, int(folder))
        for each in archive.objects():
            if _is_outdated(each, oldest.get(int(folder)), settled_before):
                going[archive.path(each)] = each.size_bytes
    return going


def _is_outdated(each: WalObject, oldest: Base | None, settled_before: datetime) -> bool:
    if each.wal.endswith(".history"):
        return False
    if oldest is None:
        return each.at < settled_before
    return number_of(each.wal, oldest.segment_bytes) < oldest.start_lsn // oldest.segment_bytes
