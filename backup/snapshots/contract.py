"""What every kind of snapshot promises, and what they are made for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from backup.errors import SourceFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from backup.runtime.mounts import Mount
    from backup.runtime.namespace import MountNamespace


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be seen. is_left_out: whether a path below a root is excluded, it or a folder on the way to it."""

    roots: Sequence[Path]
    one_file_system: bool
    is_left_out: Callable[[Path, Path], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A root, or what lies below one, that is seen as of one instant."""

    path: Path
    kind: str
    taken_at: datetime


@dataclass(slots=True, kw_only=True)
class Tree:
    """How the roots are seen: below a folder, in a namespace; without any, in place.

    through: what stands before paths where this process looks. live: what is seen as it is while it is read, and why.
    stand_ins: device and number of empty folders that stand for something. frozen: where snapshots of it were made.
    """

    namespace: MountNamespace | None = None
    folder: Path = Path("/")
    through: bytes = b""
    taken: list[Taken] = field(default_factory=list)
    live: dict[Path, str] = field(default_factory=dict)
    stand_ins: set[tuple[int, int]] = field(default_factory=set)
    remarks: list[str] = field(default_factory=list)
    frozen: list[Frozen] = field(default_factory=list)

    def demand_whole(self) -> None:
        """Return when what was read of it can be trusted. Raises SourceFailed, TimedOut."""
        for each in self.frozen:
            if (lost := each.lost()) is not None:
                raise SourceFailed(lost)


class Frozen(Protocol):
    """A file system of which snapshots can be made; it may be mounted at several places."""

    @property
    def stand_in(self) -> tuple[int, int] | None:
        """Device and number of what stands in a snapshot for what is no part of it; None: there is no such."""
        ...

    @property
    def remarks(self) -> Sequence[str]:
        """What people have to be told: leftovers that cannot be removed."""
        ...

    def inner(self, mount: Mount) -> list[Path]:
        """Return what lies in the tree of a mount and is in no snapshot of it, relative to its place, in any order.

        Raises SourceFailed, TimedOut.
        """
        ...

    def freeze(self, mount: Mount, inner: Path) -> tuple[Path, datetime]:
        """Make a read-only snapshot of a mount (`inner` is ".") or of one of its `inner`.

        Return where it lies in the namespace, and an instant: everything that was written before is in it. What was
        frozen already is not frozen anew. Raises SourceFailed, TimedOut.
        """
        ...

    def live(self, mount: Mount, inner: Path) -> Path:
        """Return where one of its `inner` lies in the namespace, as it is."""
        ...

    def lost(self) -> str | None:
        """Return why what was read of its snapshots until now may be wrong, and what to do; None when it is right.

        Raises SourceFailed, TimedOut when that cannot be told.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Where snapshots for one run are made ready.

    folder: an empty private one, to mount things at within the namespace. beside: what the run has opened before.
    """

    namespace: MountNamespace
    folder: Path
    beside: Sequence[Frozen]


class SnapshotKind(Protocol):
    """Makes snapshots of one kind of file system, or of what lies below it: one file, and a line in the registry."""

    @property
    def name(self) -> str:
        """What it is called: "btrfs"."""
        ...

    def is_for(self, mount: Mount) -> bool:
        """Whether a mount is of this kind."""
        ...

    def lack(self, mount: Mount) -> str | None:
        """Return what is in the way of snapshots of a mount, and what to do; None when nothing is known to be."""
        ...

    def open(self, mount: Mount, ground: Ground) -> AbstractContextManager[Frozen]:
        """Make ready for snapshots; remove those that killed runs left, and touch none of a run that is alive.

        Leaving the context removes the snapshots; what cannot be removed the next run removes. It is left before those
        that were entered before it. Raises SourceFailed, TimedOut.
        """
        ...
