"""Where restored things come to lie: a draft beside the place, the place itself, and both cleared when it fails."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

from backup.errors import DestinationInUse
from backup.restoring.joining import move
from backup.restoring.room import existing
from backup.runtime.private_folder import private_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DRAFT: Final = ".bkp-restoring-"


def demand_way(final: Path) -> None:
    """Raise DestinationInUse when what lies on the way to `final` is no folder, so that nothing can be put there."""
    there = next(each for each in final.parents if os.path.lexists(each))
    if not there.is_dir():
        raise DestinationInUse(f"{there} is no folder, so nothing can be put below it: choose another --to")


def demand_free(final: Path) -> None:
    """Raise DestinationInUse when something lies at `final`; an empty folder is no hindrance, nor is a fresh disk."""
    try:
        is_used = os.path.lexists(final) and not _is_empty(final)
    except OSError as error:
        raise DestinationInUse(f"{final} cannot be looked into: {error.strerror}") from error
    if is_used:
        raise DestinationInUse(
            f"{final} is there already: restore to another folder with --to, or replace files with --overwrite"
        )


def _is_empty(folder: Path) -> bool:
    """Tell whether a folder holds nothing but drafts, and what a new file system has of its own."""
    if not folder.is_dir() or folder.is_symlink():
        return False
    own = {"lost+found"} if folder.is_mount() else set()
    return all(each.name in own or each.name.startswith(_DRAFT) for each in folder.iterdir())


@contextlib.contextmanager
def draft_for(final: Path) -> Iterator[Path]:
    """A private folder on the file system of `final`, within it when it is a folder; it goes at the end.

    What a restore that was killed left there goes before.
    """
    place = existing(final)
    with contextlib.ExitStack() as stack:
        try:
            draft = stack.enter_context(private_folder(place, _DRAFT))
        except OSError as error:
            raise DestinationInUse(f"{place} cannot be written ({error.strerror}): choose another --to") from error
        yield draft


def put_in_place(made: Path, final: Path, *, is_overwriting: bool) -> None:
    """Move what was made to its place; with `is_overwriting` folders are merged and files replaced, one by one.

    A folder that is there and empty stays what it is, since it may be a mount point: what was made is moved into it.
    """
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(final):
            made.rename(final)
            return
        if _is_empty(final) and _is_folder(made):
            _fill(made, final)
            return
        if not is_overwriting:
            raise DestinationInUse(f"{final} came into being meanwhile: it was left alone")
        _demand_mergeable(made, final)
        _merge(made, final)
    except OSError as error:
        so_far = f"; some of it may be at {final} already" if is_overwriting else ""
        raise DestinationInUse(f"{error.filename or final} cannot be put in place: {error.strerror}{so_far}") from error


def _fill(made: Path, final: Path) -> None:
    """Move all of a folder into an empty one; when something cannot be moved it is empty again."""
    moved: list[Path] = []
    try:
        for entry in sorted(made.iterdir()):
            there = final / entry.name
            if os.path.lexists(there):  # a new file system's own
                _merge(entry, there)
            else:
                move(entry, there)
                moved.append(there)
    except OSError:
        for there in moved:
            move(there, made / there.name)
        raise
    _make_alike(made, final)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _demand_mergeable(made: Path, final: Path) -> None:
    """Raise DestinationInUse, before anything is replaced, when a folder would take a file's place or a file one's."""
    _demand_alike(made, final)
    if _is_folder(made):
        for entry in made.iterdir():
            if os.path.lexists(there := final / entry.name):
                _demand_mergeable(entry, there)


def _demand_alike(made: Path, final: Path) -> None:
    if _is_folder(final) and not _is_folder(made):
        raise DestinationInUse(f"{final} is a folder, and a file was saved: move it away first")
    if _is_folder(made) and not _is_folder(final):
        raise DestinationInUse(f"{final} is no folder, and a folder was saved: move it away first")


def _merge(made: Path, final: Path) -> None:
    """Put `made` over `final`. A folder is never replaced by a file, nor a file by a folder."""
    _demand_alike(made, final)
    if not _is_folder(made):
        made.replace(final)
        return
    for entry in sorted(made.iterdir()):
        there = final / entry.name
        if os.path.lexists(there):
            _merge(entry, there)
        else:
            entry.rename(there)
    _make_alike(made, final)


def _make_alike(made: Path, final: Path) -> None:
    status = made.stat()
    final.chmod(status.st_mode & 0o7777)
    if os.geteuid() == 0:
        os.chown(final, status.st_uid, status.st_gid)
    os.utime(final, ns=(status.st_atime_ns, status.st_mtime_ns))
