"""What runs that do not count left at the target, and whether a chain there is whole by its list of files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backup.errors import BackupError, TargetAway
from backup.model import Status, read_instant

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from backup.catalogue import Catalogue
    from backup.model import Manifest, Place, RunRecord
    from backup.targets.contract import Target


def chain_manifests(catalogue: Catalogue, chain: str) -> list[Manifest]:
    """Return the manifests of a chain, oldest first."""
    return [point.manifest for point in catalogue.points if point.manifest.chain == chain]


def clear_leftovers(target: Target, place: Place, catalogue: Catalogue, records: Iterable[RunRecord]) -> None:
    """Remove files of runs that this machine's journal says were begun and are not ok.

    Only in the chains these runs wrote to, only what no valid manifest names, and not while there is a manifest of that
    time that does not count: its files would be taken for leftovers. A target that forbids deleting keeps them; they
    never count. Raises TargetAway.
    """
    chains = {
        record.chain
        for record in records
        if record.status is not Status.OK
        and record.chain is not None
        and not any(_may_be_of(refused.name, record) for refused in catalogue.refused)
    }
    for chain in sorted(chains.intersection(target.folders(place.chains))):
        folder = place.chain(chain)
        named = {volume.name for manifest in chain_manifests(catalogue, chain) for volume in manifest.volumes}
        for name in sorted(target.files(folder).keys() - named):
            try:
                target.delete(f"{folder}/{name}")
            except TargetAway:
                raise
            except BackupError:
                return  # it may not be ours to delete; `doubt_of` sees what stays


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
    there = dict(target.files(place.chain(chain)))
    for volume in (volume for manifest in manifests for volume in manifest.volumes):
        size = there.pop(volume.name, None)
        if size is None:
            return f"the chain before is damaged: {volume.name} is missing at the target"
        if size != volume.size_bytes:
            return f"the chain before is damaged: {volume.name} has {size} bytes, not {volume.size_bytes}"
    if there:
        return f"{min(there)} lies in the chain before and belongs to no restore point; it could not be removed"
    return None
