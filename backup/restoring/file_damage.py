"""What a damaged file of duplicity's costs: the restore points that need it, or their lists of files only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backup.model import Role
from backup.restoring.manifest_damage import Damage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backup.model import Place, RestorePoint


def damage_of_file(place: Place, points: Sequence[RestorePoint], chain: str, name: str, what: str) -> Damage:
    """Return what is wrong with a file that a manifest of the chain names, and what it costs.

    A run's volumes and list of volumes cost its point and every later one of the chain. Its signatures cost none: a
    restore does without (`restoring/stand_ins.py`), but what is in these points can no longer be listed.
    """
    of_chain = [point for point in points if point.manifest.chain == chain]
    owner, role = next(
        (point, volume.role) for point in of_chain for volume in point.manifest.volumes if volume.name == name
    )
    needing = tuple(point.at for point in of_chain if point.manifest.position >= owner.manifest.position)
    said = f"{place.chain(chain)}/{name}"
    if role is Role.SIGNATURES:
        return Damage(name=said, what=what, unlists=needing)
    return Damage(name=said, what=what, kills=needing)
