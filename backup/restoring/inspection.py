"""The files of a copy, looked at one after the other as deep as was asked, and counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from backup.engine.progress import Progress
from backup.errors import ObjectMissing
from backup.targets.reading import read_sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from backup.errors import BackupError
    from backup.notes.marks import Marking
    from backup.restoring.manifest_damage import Damage
    from backup.targets.contract import Target


@dataclass(slots=True, kw_only=True)
class Inspection:
    """One look at a copy. wanted: the files that are read, where those of a sample are; None: all of them.

    total: how many files there are, so that whoever waits sees how far it is. is_opening: whether what only keys open
    is opened as well.
    """

    target: Target
    is_reading: bool
    is_opening: bool
    wanted: frozenset[str] | None
    total: int
    marking: Marking
    on_progress: Callable[[Progress], None] | None
    files: int = 0
    files_read: int = 0
    bytes: int = 0

    def reads(self, name: str) -> bool:
        """Tell whether a file is read, and not only looked for."""
        return self.is_reading and (self.wanted is None or name in self.wanted)

    def count(self) -> None:
        """Say that the next file is looked at."""
        self.files += 1
        if self.on_progress is not None:
            self.on_progress(Progress(phase="verifying", share=self.files / max(self.files, self.total)))

    def took(self, size_bytes: int) -> None:
        """Say that a file was read to its end."""
        self.files_read += 1
        self.bytes += size_bytes

    def trouble(self, name: str, there: int | None, size_bytes: int | None, digest: str | None) -> str | None:
        """Look at a file; return in words what is wrong with it. Raises what the target raises.

        there: its bytes as it was listed; None: it was not. digest: how its SHA-256 in hex begins. size_bytes and
        digest are None where nobody knows them.
        """
        self.count()
        if there is None:
            return "it is missing"
        if size_bytes is not None and there != size_bytes:
            return f"it has {there} bytes instead of {size_bytes}"
        if digest is None or not self.reads(name):
            return None
        self.marking.renew()  # reading everything may take days
        try:
            found, read = read_sha256(self.target, name)
        except ObjectMissing:
            return "it is missing"
        self.took(read)
        return None if found.startswith(digest) else "its content is not what was sent (SHA-256 differs)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a look at archived logs found.

    fresh_point: what makes moments of the future restorable again, in words; None when they are. uncompared: files
    that were to be read, of which only a key can tell what they are. seen: what to remember of logs for the next look.
    """

    damages: Sequence[Damage] = ()
    hindrances: Sequence[BackupError] = ()
    fresh_point: str | None = None
    uncompared: int = 0
    seen: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


class Logs(Protocol):
    """Archived logs of a copy that lead from its restore points to any moment, as they were listed."""

    def names(self) -> Sequence[str]:
        """Return the files' whole names."""
        ...

    def look(self, inspection: Inspection) -> Found:
        """Look at each of them. Raises what the target raises."""
        ...
