"""How the tree of a set that is saved side by side is cut into parts: pure, and written into its signed manifests.

Every part after the first has the folders and files that are listed for it, with all below them; the first has all the
rest. So whatever comes to be later falls into exactly one part. Folders on the way down to what is listed lie in more
than one; as they are in the first of these parts they come back.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from backup.errors import BackupDamaged
from backup.model import part_names
from core.model.counting import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from backup.model import Manifest

_MOST_SHOWN: Final = 80  # of a path's letters, to people


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """asked: the set's `side_by_side`. listed: whole paths, for each part after the first."""

    asked: int = 1
    listed: tuple[tuple[str, ...], ...] = ()

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the parts there are; a tree too small for it has fewer than were asked for."""
        return part_names(len(self.listed) + 1)

    def table(self) -> dict[str, Any]:
        """Return it for the consistency record; nothing of a set that is saved as one."""
        return {} if self.asked == 1 else {"side_by_side": self.asked, "parts": [list(each) for each in self.listed]}

    def seen_below(self, folder: str) -> Cut:
        """Return the same cut of the same tree that is seen below a folder."""
        return replace(self, listed=tuple(tuple(f"{folder}{path}" for path in part) for part in self.listed))

    def selections(self, roots: Iterable[str]) -> list[tuple[str, ...]]:
        """Return duplicity's options for each part, to stand between what is left out and "nothing else".

        One expression says it all: duplicity holds every path of the tree against each option, one after the other.
        """
        listed = [path for part in self.listed for path in part]
        own = [f"--exclude-regexp={at_or_below(listed)}"] if listed else []
        first = (*own, *(f"--include={literal(root)}" for root in roots))
        return [first, *((f"--include-regexp={at_or_below(part)}|{_folders_above(part)}",) for part in self.listed)]

    def counted_again(self, roots: Sequence[str]) -> int:
        """Return how many folders more than one part has, each further time counted: at most, while all is there."""
        cut_off = {path for part in self.listed for path in part}
        kept = [root for root in roots if root not in cut_off]
        seen = {folder for root in kept for folder in _above(root)} | {"/"}
        again = 0
        for part in self.listed:
            folders = {folder for path in part for folder in _above(path)}
            again += sum(1 for each in folders if each in seen or any(_is_at(each, root) for root in kept))
            seen |= folders
        return again

    def said(self, part: str) -> str:
        """Return what tells people one part from the others, its first paths among it; "" when it is the only one."""
        if not self.listed:
            return ""
        number = self.parts.index(part)
        what = "what is in no other part"
        if number:
            paths = self.listed[number - 1]
            shown = ", ".join(
                repr(path if len(path) <= _MOST_SHOWN else f"…{path[-_MOST_SHOWN:]}") for path in paths[:3]
            )
            what = f"{shown} and {len(paths) - 3} more" if len(paths) > 3 else shown
        return f" ({part} of {len(self.parts)}: {what})"

    def parts_with(self, path: PurePosixPath | None) -> tuple[str, ...]:
        """Return the names of the parts that may hold something at or below a path in the backup; None: everything."""
        if path is None:
            return self.parts
        wanted = f"/{path}"
        found = {0}
        for number, part in enumerate(self.listed, start=1):
            if any(_is_at(wanted, each) for each in part):
                return (self.parts[number],)
            if any(_is_at(each, wanted) for each in part):
                found.add(number)
        return tuple(self.parts[number] for number in sorted(found))


def read_cut(record: Mapping[str, Any]) -> Cut:
    """Return the cut of a consistency record; of a set that is saved as one, too. Raises BackupDamaged."""
    if "side_by_side" not in record:
        return Cut()
    try:
        listed = tuple(tuple(str(path) for path in part) for part in record["parts"])
        return Cut(asked=int(record["side_by_side"]), listed=listed)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise BackupDamaged(f"the manifest does not say how its tree was cut into parts: {error!r}") from error


def parts_with(manifest: Manifest, path: PurePosixPath | None) -> tuple[str, ...]:
    """Return the folders of the parts of a run that may hold something at or below a path. Raises BackupDamaged."""
    cut = read_cut(manifest.consistency)
    if cut.parts != manifest.parts:
        raise BackupDamaged(
            f"the manifest {manifest.name} speaks of {counted(len(cut.parts), 'part')}, and names other files"
        )
    return cut.parts_with(path)


def at_or_below(paths: Iterable[str]) -> str:
    """Return a regular expression for these paths and all below them, and for no other."""
    return rf"^(?:{'|'.join(map(re.escape, paths))})(?:/|\Z)"


def _folders_above(paths: Iterable[str]) -> str:
    above = sorted({folder for path in paths for folder in _above(path)})
    return rf"^(?:{'|'.join(map(re.escape, above))})\Z"


def literal(path: str) -> str:
    """Return a path as a pattern that means this path: duplicity reads *, ? and [ as wildcards."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in os.path.normpath(path))


def _above(path: str) -> set[str]:
    return {str(folder) for folder in PurePosixPath(path).parents}


def _is_at(path: str, top: str) -> bool:
    return path == top or path.startswith(f"{top.rstrip('/')}/")
