"""What runs were begun, on this machine's disk before they begin; and how the last one of each set went."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backup.model import RunId, RunRecord


class Journal:
    """The runs of one set, in `work/<set>/`. Everything here is durable on return."""

    def __init__(self, work: Path, set_name: str) -> None:
        """Make the set's folder, private. Raises SourceFailed when it cannot be made."""
        self.folder = work / set_name

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the set's lock: one run or cache change at a time. Raises SetBusy naming the process that has it."""
        raise NotImplementedError
        yield

    def find(self, run: RunId) -> RunRecord | None:
        """Return the record of a run; one whose process is gone without an end is KILLED. None when it never began."""
        raise NotImplementedError

    def newest(self, number: int = 100) -> list[RunRecord]:
        """Return the newest records, newest first."""
        raise NotImplementedError

    def write(self, record: RunRecord) -> None:
        """Put a record, replacing the one of its id."""
        raise NotImplementedError


def write_state(folder: Path, set_name: str, state: dict[str, Any]) -> None:
    """Put state/<set>.json, atomically. docs/backup.md has its form."""
    raise NotImplementedError
