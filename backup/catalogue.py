"""Which restore points a set has: from the signed manifests at the target, and from nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from backup.keys.ring import KeyRing
    from backup.model import Place, RestorePoint
    from backup.targets.contract import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A file among the manifests that does not count, and why."""

    name: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """The restore points of a set, oldest first, and what was not taken for one."""

    points: tuple[RestorePoint, ...]
    refused: tuple[Refused, ...]

    def newest(self, at: datetime | None = None) -> RestorePoint:
        """Return the newest point that can be restored, at or before `at`. Raises NoRestorePoint naming those near."""
        raise NotImplementedError


def read_catalogue(target: Target, place: Place, ring: KeyRing) -> Catalogue:
    """Read every manifest of a set and check its signature against the keys in `ring`.

    A manifest counts when its signature holds, its signer is the one its text names, the key is trusted for its host
    (`KeyRing.signers`), and host, set and file name agree with where it lies. Anything else is named in `refused`.
    Raises what the target raises; KeyMissing when the ring holds no signer for that host at all.
    """
    raise NotImplementedError
