"""How two restore points, or a restore point and a folder, differ."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from backup.browse.listing import is_below, open_lists, runs_up_to
from backup.browse.signatures import Content, Entry
from backup.errors import NotInBackup
from backup.spelling import shown
from backup.when import local

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from backup.model import RestorePoint
    from backup.station.station import Station

ADDED: Final = "added"
REMOVED: Final = "removed"
CHANGED: Final = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A path that is not the same on both sides. how: seen from the first; why: what of it changed."""

    path: str
    how: str
    why: tuple[str, ...]
    before: Entry | None
    after: Entry | None


def differs(before: Entry, after: Entry) -> tuple[str, ...]:
    """Return what of two entries is not the same: "kind", "content", "time", "mode", "owner", "link".

    Contents are compared by their signatures; where only sizes are known on one side, by size. The time of a folder is
    left out: it changes with what lies in it.
    """
    if before.kind != after.kind:
        return ("kind",)
    found = [
        ("content", _is_other(before.content, after.content)),
        ("time", before.kind in ("file", "other") and before.changed_at != after.changed_at),
        ("mode", before.kind != "link" and before.mode != after.mode),
        ("owner", before.owner != after.owner),
        ("link", before.link != after.link),
    ]
    return tuple(name for name, is_so in found if is_so)


def _is_other(before: Content | None, after: Content | None) -> bool:
    if before is None or after is None:
        return False
    if before.block_bytes == after.block_bytes:
        return before.digest != after.digest
    return before.most_bytes < after.least_bytes or after.most_bytes < before.least_bytes


def compare_points(
    station: Station,
    points: Sequence[RestorePoint],
    first: RestorePoint,
    second: RestorePoint,
    below: PurePosixPath | None = None,
) -> list[Difference]:
    """Return what is not the same in `second` as in `first`, at and below a path.

    Raises NotInBackup when the path is in neither.
    """
    runs = [runs_up_to(points, each) for each in (first, second)]
    every = {manifest.name: manifest for each in runs for manifest in each}
    with open_lists(station, list(every.values())) as lists:
        trees = [_below(lists.tree(each), below) for each in runs]
    if below is not None and not any(trees):
        raise NotInBackup(f"{below} is in neither of the two restore points: bkp find looks in all")
    return compare(*trees)


def compare_with_folder(
    station: Station, points: Sequence[RestorePoint], point: RestorePoint, folder: Path, below: PurePosixPath | None
) -> list[Difference]:
    """Return what is not the same in `folder` as it was saved; `below` is the path in the backup that it stands for.

    By kind, size, time, mode and link; whether bytes differ at the same size and time is not looked at. What
    lies outside the set's own roots is left alone. Raises NotInBackup.
    """
    runs = runs_up_to(points, point)
    with open_lists(station, runs) as lists:
        saved = _below(lists.tree(runs), below)
    if not saved:
        raise NotInBackup(f"{shown(str(below))} is not in the restore point of {local(point.at)}")
    roots = [PurePosixPath(str(root).lstrip("/")) for root in point.manifest.consistency.get("roots", ())]
    top = below or PurePosixPath()
    starts = [root for root in roots if top == PurePosixPath() or root.is_relative_to(top)] or [top]
    there: dict[str, Entry] = {}
    for start in starts:
        there |= {entry.path: entry for entry in _walk(folder / start.relative_to(top), str(start).removeprefix("."))}
    within = {path: entry for path, entry in saved.items() if any(_is_at(path, start) for start in starts)}
    return compare(within, there)


def compare(before: Mapping[str, Entry], after: Mapping[str, Entry]) -> list[Difference]:
    """Return the differences of two trees by path, in the order of their folders."""
    found: list[Difference] = []
    for path in sorted(before.keys() | after.keys(), key=lambda path: path.split("/")):
        one, other = before.get(path), after.get(path)
        why = differs(one, other) if one is not None and other is not None else ()
        if one is None or other is None or why:
            how = ADDED if one is None else REMOVED if other is None else CHANGED
            found.append(Difference(path=path, how=how, why=why, before=one, after=other))
    return found


def _below(tree: dict[str, Entry], top: PurePosixPath | None) -> dict[str, Entry]:
    return {path: entry for path, entry in tree.items() if top is None or is_below(path, str(top))}


def _is_at(path: str, start: PurePosixPath) -> bool:
    return start == PurePosixPath() or is_below(path, str(start))


def _walk(top: Path, path: str) -> Iterator[Entry]:
    """Yield what is at and below `top` on this machine, named as if `top` were `path`; follows no link.

    Raises NotInBackup when something cannot be looked into: "removed" would be said of what is there.
    """
    try:
        found = _entry(top, path)
        if path:
            yield found
        if found.kind == "folder":
            for name in sorted(os.listdir(top)):  # noqa: PTH208 - names only
                yield from _walk(top / name, f"{path}/{name}" if path else name)
    except FileNotFoundError:
        return
    except OSError as error:
        raise NotInBackup(f"{error.filename} cannot be compared: {error.strerror}; try as root") from error


def _entry(file: Path, path: str) -> Entry:
    found = file.lstat()
    mode = found.st_mode
    kind = (
        "file" if stat.S_ISREG(mode) else "folder" if stat.S_ISDIR(mode) else "link" if stat.S_ISLNK(mode) else "other"
    )
    size = found.st_size
    return Entry(
        path=path,
        kind=kind,
        changed_at=datetime.fromtimestamp(int(found.st_mtime), UTC),
        mode=stat.S_IMODE(mode),
        owner=(found.st_uid, found.st_gid),
        content=Content(least_bytes=size, most_bytes=size, block_bytes=0, digest=b"") if kind == "file" else None,
        link=str(file.readlink()) if kind == "link" else "",
    )
