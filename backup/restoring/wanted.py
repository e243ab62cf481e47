"""What somebody wants restored, and where to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from backup.errors import NotInBackup
from backup.spelling import read_shown

if TYPE_CHECKING:
    from pathlib import Path

_MOST_DEPTH: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to restore, and where to. `path` is relative to the set's root; None: everything.

    to: a folder; a path is put into it under its own name, or everything as `name`. is_overwriting: files that are
    there already are replaced (others stay); without it the place must not hold what is restored. is_room_asked: it is
    not begun where it does not fit by what is free.
    """

    path: PurePosixPath | None
    to: Path
    is_overwriting: bool = False
    name: str | None = None
    is_room_asked: bool = True

    @property
    def final(self) -> Path:
        """Where it is afterwards."""
        last = self.name or (None if self.path is None else self.path.name)
        return self.to if last is None else self.to / last


def read_path(text: str) -> PurePosixPath | None:
    """Return a path in a backup as duplicity wants it: relative, without "." and "..". None for the whole set.

    text: as it is, or as `shown` writes it. Raises NotInBackup for what can be in no backup.
    """
    try:
        text = read_shown(text)
    except ValueError as error:
        raise NotInBackup(f"{text!r} is no path in a backup: {error}") from error
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in text or len(parts) > _MOST_DEPTH:
        raise NotInBackup(f"{text!r} is no path in a backup: it must lead down from the set's root")
    return PurePosixPath(*parts) if parts else None
