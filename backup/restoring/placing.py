"""Where restored things come to lie: a draft beside the place, the place itself, and both cleared when it fails."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from backup.errors import DestinationInUse, WorkFailed

if TYPE_CHECKING:
    from collections.abc import Iterator


def demand_free(final: Path) -> None:
    """Raise DestinationInUse when something lies at `final`; an empty folder is no hindrance."""
    try:
        is_used = os.path.lexists(final) and not (
            final.is_dir() and not final.is_symlink() and not any(final.iterdir())
        )
    except OSError as error:
        raise DestinationInUse(f"{final} cannot be looked into: {error.strerror}") from error
    if is_used:
        raise DestinationInUse(
            f"{final} is there already: restore to another folder with --to, or replace files with --overwrite"
        )


@contextlib.contextmanager
def draft_beside(to: Path) -> Iterator[Path]:
    """A private folder on the file system of `to`; what is left in it goes at the end."""
    existing = to.absolute()
    while not existing.is_dir():
        existing = existing.parent
    try:
        draft = Path(tempfile.mkdtemp(prefix=".bkp-restoring-", dir=existing))
    except OSError as error:
        raise DestinationInUse(f"{existing} cannot be written ({error.strerror}): choose another --to") from error
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def put_in_place(made: Path, final: Path, *, is_overwriting: bool) -> None:
    """Move what was made to its place; with `is_overwriting` folders are merged and files replaced, one by one."""
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(final):
            made.rename(final)
            return
        if final.is_dir() and not final.is_symlink() and not any(final.iterdir()) and made.is_dir():
            final.rmdir()
            made.rename(final)
            return
        if not is_overwriting:
            raise DestinationInUse(f"{final} came into being meanwhile: it was left alone")
        _merge(made, final)
    except OSError as error:
        raise DestinationInUse(f"{error.filename or final} cannot be put in place: {error.strerror}") from error


def _merge(made: Path, final: Path) -> None:
    """Put `made` over `final`. A folder is never replaced by a file, nor a file by a folder."""
    if made.is_symlink() or not made.is_dir():
        if final.is_dir() and not final.is_symlink():
            raise DestinationInUse(f"{final} is a folder, and a file was saved: move it away first")
        made.replace(final)
        return
    if not final.is_dir() or final.is_symlink():
        raise DestinationInUse(f"{final} is no folder, and a folder was saved: move it away first")
    for entry in sorted(made.iterdir()):
        there = final / entry.name
        if os.path.lexists(there):
            _merge(entry, there)
        else:
            entry.rename(there)
    status = made.stat()
    final.chmod(status.st_mode & 0o7777)
    if os.geteuid() == 0:
        os.chown(final, status.st_uid, status.st_gid)
    os.utime(final, ns=(status.st_atime_ns, status.st_mtime_ns))


def clear(folder: Path) -> None:
    """Remove what was restored to a scratch place, whatever modes it has. Raises WorkFailed."""
    try:
        if not folder.is_dir() or folder.is_symlink():
            folder.unlink(missing_ok=True)
            return
        for parent, folders, _ in os.walk(folder):
            for name in folders:
                path = os.path.join(parent, name)  # noqa: PTH118 - a million entries
                if not os.access(path, os.R_OK | os.W_OK | os.X_OK) and stat.S_ISDIR(os.lstat(path).st_mode):
                    os.chmod(path, 0o700)  # noqa: PTH101 - as above
        shutil.rmtree(folder)
    except FileNotFoundError:
        if folder.exists():
            raise WorkFailed(f"{folder} cannot be cleared: somebody else removes files there") from None
    except OSError as error:
        raise WorkFailed(f"{folder} cannot be cleared: {error}; remove it") from error
