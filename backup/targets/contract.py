"""What every target promises: tests/support/target_contract.py runs the same suite against each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Stat:
    """What a target says of a file without sending it.

    md5: as it tells it, where it keeps one (an ETag): in hex of all bytes or, with `part_bytes`, as
    `backup/targets/etag.py` sums parts of so many bytes. changed_at: when it was written, by the target's clock (aware
    UTC); None where the target does not tell.
    """

    size_bytes: int
    md5: str | None = None
    part_bytes: int | None = None
    changed_at: datetime | None = None


class Target(Protocol):
    """A place with named files, to read and to write. Nothing can be deleted through it: hosts and stations have this.

    Names are relative with single slashes; a folder is what stands before one.

    Every call blocks for at most the target's timeout between two answers, and raises
    TargetAway (no answer, a fault of its own), TargetRefused (credentials, rights), TargetFull (room, quota).
    One thread uses it at a time.
    """

    @property
    def name(self) -> str:
        """Its name in backup.toml."""
        ...

    def reach(self) -> None:
        """Return when the target answers and knows us; makes its root (folder, container) when that is missing."""
        ...

    def room(self) -> int | None:
        """Return the bytes that may still be written there; None where the target does not tell."""
        ...

    def files(self, folder: str) -> Mapping[str, int]:
        """Return the files directly in a folder: name (without the folder) to bytes; empty without such a folder."""
        ...

    def folders(self, folder: str) -> list[str]:
        """Return the names of the folders directly in a folder that hold anything, sorted."""
        ...

    def stat(self, name: str) -> Stat:
        """Return what is known of a file. Raises ObjectMissing."""
        ...

    def read(self, name: str) -> Iterator[bytes]:
        """Yield a file's bytes in pieces of at most 1 MiB. Raises ObjectMissing at the first piece."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Put a small file, whole or not at all, replacing one of that name; it is durable on return."""
        ...

    def put(self, name: str, file: Path) -> None:
        """Put a file of any size, whole or not at all, replacing one of that name; it is durable on return.

        Whether what arrived is what was sent is the caller's to see. Raises OSError: the file cannot be read.
        """
        ...

    def url(self, folder: str) -> str:
        """Return what duplicity is given to find a folder. It holds no secret."""
        ...

    def options(self) -> Sequence[str]:
        """Return the options duplicity needs for `url`. They hold no secret."""
        ...

    def environment(self) -> Mapping[str, str]:
        """Return what duplicity needs in its environment for `url`, secrets among it."""
        ...

    def close(self) -> None:
        """Let connections go."""
        ...


class DeletingTarget(Target, Protocol):
    """A target for the pruner: `backup/targets/deleting.py` opens it, and import contracts say who may."""

    def delete(self, name: str) -> None:
        """Remove a file: it is gone for good on return. One that is not there is no error."""
        ...


@runtime_checkable
class FetchingTarget(Protocol):
    """What a target has beside its promises where each reading costs a sign-in; `at_hand` (reading.py) asks for it."""

    def fetching(self, folder: str, files: Mapping[str, int]) -> AbstractContextManager[None]:
        """Return a context in which these files of a folder (name to bytes) are read as they were at its entering.

        They are fetched together then. What cannot be fetched so is read as ever: nothing of the target's is raised.
        """
        ...
