"""What runs that do not count left at the target, and whether a chain there is whole by its list of files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backup.chain import files_of_chain
from backup.engine.names import run_instant
from backup.errors import BackupError, TargetAway
from backup.model import MOST_PARTS, Status, instant_name, part_names, read_instant
from backup.spelling import shown
from backup.targets.deleting import open_for_deleting

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from backup.catalogue import Catalogue
    from backup.model import Manifest, Place, RunRecord
    from backup.settings.target import TargetSettings
    from backup.targets.contract import Target


def chain_manifests(catalogue: Catalogue, chain: str) -> list[Manifest]:
    """Return the manifests of a chain, oldest first."""
    return [point.manifest for point in catalogue.points if point.manifest.chain == chain]


def clear_leftovers(
    target: Target, at: TargetSettings, place: Place, catalogue: Catalogue, records: Sequence[RunRecord]
) -> None:
    """Remove files of runs that this machine's journal says were begun and are not ok; `at` is where `target` is.

    Only in the chains these runs wrote to, only what is of their time by its name and what no valid manifest names, and
    not while there is a manifest of that time that does not count: its files would be taken for leftovers. Nor what is
    of a run that was whole here by the journal: its manifest has vanished, and may come back. A target that forbids
    deleting keeps them; they never count. Raises TargetAway.
    """
    made = {each.at for each in records if _was_whole(each, at.name)}
    begun: dict[str, datetime] = {}
    for record in records:
        if (
            record.status is not Status.OK
            and record.chain is not None
            and not any(_may_be_of(refused.name, record) for refused in catalogue.refused)
        ):
            begun[record.chain] = min(record.started_at, begun.get(record.chain, record.started_at))
    for chain in sorted(begun.keys() & set(target.folders(place.chains))):
        folder = place.chain(chain)
        named = {volume.name for manifest in chain_manifests(catalogue, chain) for volume in manifest.volumes}
        unnamed = sorted(files_of_chain(target, place, chain).keys() - named)
        since = begun[chain].replace(microsecond=0)
        instants = {name: run_instant(name) for name in unnamed}
        left = [name for name, of in instants.items() if of is not None and of >= since and of not in made]
        try:
            withdraw(at, [f"{folder}/{name}" for name in left], since)
            if len(left) == len(unnamed) and not named and chain in target.folders(place.chains):
                # Folders are left of parts that sent nothing: they go with any name in them.
                nothing = f"duplicity-full.{instant_name(since)}.nothing"
                withdraw(at, [f"{folder}/{part}/{nothing}" for part in part_names(MOST_PARTS)], since)
        except TargetAway:
            raise
        except BackupError:
            return  # it may not be ours to delete; `doubt_of` sees what stays


def withdraw(at: TargetSettings, names: Sequence[str], since: datetime) -> None:
    """Remove files a run of this machine put there and never finished: all the deleting a host's code can do.

    since: when that run began. Raises ValueError, before anything goes, when a file is of an earlier run by its name;
    what the target raises.
    """
    since = since.replace(microsecond=0)
    for name in names:
        plain = name.rpartition("/")[2]
        instant = run_instant(plain) or read_instant(plain.partition(".")[0])
        if instant < since:
            raise ValueError(f"{name} is of a run before {since}: it is not this run's to remove")
    if names:
        with open_for_deleting(at) as target:
            for name in names:
                target.delete(name)


def _was_whole(record: RunRecord, target: str) -> bool:
    """Whether a run's point was whole at a target, by the journal: it is ok, or lacks at other targets only."""
    is_made = record.status is Status.OK or bool(record.missing_at)
    return is_made and record.at is not None and target not in record.missing_at


def _may_be_of(name: str, record: RunRecord) -> bool:
    """Whether a manifest that does not count could be this run's, by the instant in its name."""
    try:
        return read_instant(name.partition(".")[0]) >= record.started_at.replace(microsecond=0)
    except ValueError:
        return True


def doubt_of(target: Target, place: Place, manifests: Sequence[Manifest]) -> str | None:
    """Return why a chain cannot be gone on from, by the list of its files; None when each is there, and no other."""
    if not manifests:
        return None
    chain = manifests[0].chain
    there = dict(files_of_chain(target, place, chain))
    for volume in (volume for manifest in manifests for volume in manifest.volumes):
        size = there.pop(volume.name, None)
        if size is None:
            return f"the chain before is damaged: {volume.name} is missing at the target"
        if size != volume.size_bytes:
            return f"the chain before is damaged: {volume.name} has {size} bytes, not {volume.size_bytes}"
    if there:
        return f"{shown(min(there))} lies in the chain before and belongs to no restore point; it could not be removed"
    return None
