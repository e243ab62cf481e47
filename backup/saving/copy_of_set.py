"""One copy of a set: what lies of it at one of its targets, and whether that takes part in a run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from backup.catalogue import Catalogue
from backup.model import RestorePoint

if TYPE_CHECKING:
    from backup.errors import BackupError
    from backup.model import Manifest
    from backup.settings.target import TargetSettings
    from backup.targets.contract import Target

NOTHING: Final = Catalogue(points=(), refused=())


@dataclass(slots=True, kw_only=True)
class Copy:
    """One target of the set. trouble: why it takes no part in this run (any more)."""

    settings: TargetSettings
    target: Target
    catalogue: Catalogue = NOTHING
    trouble: BackupError | None = None

    @property
    def newest(self) -> RestorePoint | None:
        """The newest point there, of a time to come only when all are; None when there is none."""
        return self.catalogue.latest(self.catalogue.points) if self.catalogue.points else None

    def has(self, manifest: Manifest) -> bool:
        """Whether a point is there."""
        return any(point.manifest.name == manifest.name for point in self.catalogue.points)

    def add(self, manifest: Manifest) -> None:
        """Count a point that was just copied there."""
        points = (*self.catalogue.points, RestorePoint(manifest=manifest))
        self.catalogue = replace(self.catalogue, points=points)
