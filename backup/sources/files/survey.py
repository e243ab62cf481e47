"""What of files and folders no backup by duplicity keeps: named beforehand, so that no difference is silent.

Kept are content, names of any bytes, mode, owner, group, time in whole seconds, symbolic links, devices. Not kept are
extended attributes (file capabilities among them), access lists, sockets, and that two names are one file. The holes of
a sparse file come back as zeros: the same content, with more room taken.
"""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from backup.spelling import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path, PurePosixPath

_MOST_NAMED: Final = 5
_ACCESS_LISTS: Final = frozenset({"system.posix_acl_access", "system.posix_acl_default"})
_MADE_ANEW: Final = ("security.selinux", "security.ima", "security.evm")  # by the system, from its own rules

ATTRIBUTES, LISTS, LINKS, SOCKETS = "extended attributes", "access lists", "further names", "sockets"
STAND_INS = "stand-ins"
_TOLD: Final = {
    ATTRIBUTES: "entries that come back without their extended attributes",
    LISTS: "entries that come back without their access lists",
    LINKS: "names of one file that come back as files of their own",
    SOCKETS: "sockets, which are not saved",
    STAND_INS: "subvolumes that went while snapshots were made, and come back as empty folders",
}


@dataclass(slots=True)
class Survey:
    """How many entries have what is not kept, by kind, and the first of each; which folders are other file systems'.

    filled: the roots that are more than an empty folder.
    """

    counts: Counter[str] = field(default_factory=Counter)
    names: dict[str, list[str]] = field(default_factory=dict)
    elsewhere: list[bytes] = field(default_factory=list)
    filled: set[bytes] = field(default_factory=set)

    def note(self, kind: str, path: bytes) -> None:
        """Count an entry."""
        self.counts[kind] += 1
        named = self.names.setdefault(kind, [])
        if len(named) < _MOST_NAMED:
            named.append(shown(os.fsdecode(path)))

    def words(self, kinds: Iterable[str] = tuple(_TOLD)) -> tuple[str, ...]:
        """Return it for people, a line a kind."""
        return tuple(
            f"{_TOLD[kind]}: {self.counts[kind]} ({', '.join(self.names[kind])}{', …' * self._has_more(kind)})"
            for kind in kinds
            if self.counts[kind]
        )

    def _has_more(self, kind: str) -> bool:
        return self.counts[kind] > len(self.names[kind])


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Where a tree is looked at that is to be saved by other paths.

    through: what stands before every path. stand_ins: device and number of folders that stand there for others.
    left_out: paths that are not saved, nor what is in them.
    """

    through: bytes = b""
    stand_ins: frozenset[tuple[int, int]] = frozenset()
    left_out: frozenset[bytes] = frozenset()


def words_below(words: Iterable[str], path: PurePosixPath) -> tuple[str, ...]:
    """Return those of a survey's words that name something at or below a path in the backup.

    Only the first names are kept: where there are more, that one of them may be is said without the names.
    """
    written = shown(f"/{path}").removeprefix("$'").removesuffix("'")
    below = re.compile(rf"(?:, |\(|\$'){re.escape(written)}[/,)']")
    found = []
    for line in words:
        if below.search(line):
            found.append(line)
        elif line.endswith(", …)"):
            found.append(
                f"{line.partition(' (')[0]} in the whole set; which of them are of {shown(str(path))} is not known"
            )
    return tuple(found)


def survey(
    roots: Sequence[Path],
    patterns: Sequence[str],
    *,
    one_file_system: bool,
    on_entry: Callable[[bytes, os.stat_result], None] | None = None,
    window: Window = Window(),
) -> Survey:
    """Look at every entry that is saved. What cannot be looked at is left out: the run itself names that.

    patterns: what is left out, as duplicity reads them: * within a name, ** across names. on_entry: gets each, once
    also where a root lies below another one.
    """
    found = Survey()
    left_out = left_out_by(patterns)
    tops = list(dict.fromkeys(os.fsencode(root) for root in roots))
    for top in tops:
        device = os.lstat(window.through + top).st_dev if one_file_system else None
        others = frozenset(tops) - {top} | window.left_out
        for path, status in _entries(top, left_out, device, found.elsewhere, others, window.through):
            if path != top or not stat.S_ISDIR(status.st_mode):
                found.filled.add(top)
            if window.stand_ins and (status.st_dev, status.st_ino) in window.stand_ins:
                found.note(STAND_INS, path)
            _look(found, path, window.through + path, status)
            if on_entry is not None:
                on_entry(path, status)
    return found


def left_out_by(patterns: Sequence[str]) -> re.Pattern[bytes]:
    """Return what matches the whole paths that are left out, but for what lies below them."""
    return re.compile(b"|".join(_expression(os.fsencode(each)) for each in patterns) or b"(?!)", re.DOTALL)


def _entries(
    path: bytes,
    left_out: re.Pattern[bytes],
    device: int | None,
    elsewhere: list[bytes],
    others: frozenset[bytes],
    through: bytes,
) -> Iterator[tuple[bytes, os.stat_result]]:
    """Yield every entry at and below `path`, in folders of `device` only; links are not followed.

    Folders of other devices go into `elsewhere`; files are where their folder is, whatever an overlay says of them.
    others: roots of their own, which are not gone into here.
    """
    todo = [path]
    while todo:
        path = todo.pop()
        if path in others:
            continue
        try:
            status = os.lstat(through + path)
            if left_out.fullmatch(path):
                continue
            is_folder = stat.S_ISDIR(status.st_mode)
            if is_folder and device is not None and status.st_dev != device:
                elsewhere.append(path)
                continue
            yield path, status
            if is_folder:
                names = os.listdir(through + path)  # noqa: PTH208 - bytes, a million
                above = path if path == b"/" else path + b"/"
                todo += [above + name for name in names]
        except OSError:
            continue


def _look(found: Survey, path: bytes, seen_at: bytes, status: os.stat_result) -> None:
    if stat.S_ISSOCK(status.st_mode):
        found.note(SOCKETS, path)
        return
    if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
        found.note(LINKS, path)
    try:
        names = os.listxattr(seen_at, follow_symlinks=False)
    except OSError:  # a file system without any
        return
    if not names:  # of nearly all
        return
    attributes = [name for name in names if name not in _MADE_ANEW]
    if _ACCESS_LISTS.intersection(attributes):
        found.note(LISTS, path)
    if not _ACCESS_LISTS.issuperset(attributes):
        found.note(ATTRIBUTES, path)


def _expression(pattern: bytes) -> bytes:
    """Return duplicity's pattern as a regular expression for whole paths."""
    parts = re.split(rb"(\*\*|\*|\?|\[[^]]+\])", pattern)
    meant = {b"**": b".*", b"*": b"[^/]*", b"?": b"[^/]"}
    return (
        b"(?:"
        + b"".join(
            meant.get(part) or (_letters(part) if part[:1] == b"[" and part[-1:] == b"]" else re.escape(part))
            for part in parts
        )
        + b")"
    )


def _letters(choice: bytes) -> bytes:
    inner = choice[1:-1].replace(b"\\", b"\\\\")
    return b"[" + (b"^" + inner[1:] if inner[:1] == b"!" else inner.replace(b"^", b"\\^")) + b"]"
