"""A folder as a target: a disk, or whatever the system has mounted there."""

from __future__ import annotations

import errno
import io
import os
import shutil
import stat
from contextlib import suppress
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Final
from urllib.parse import quote

from backup.errors import ConfigInvalid, ObjectMissing, TargetAway, TargetFull, TargetRefused
from backup.targets.contract import Stat

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from backup.errors import BackupError
    from backup.settings.target import TargetSettings

_PIECE_BYTES: Final = 128 << 10  # larger ones are fetched from the kernel page by page: half as fast
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_REFUSED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_HALF: Final = ".half"  # the ending of a file that is being written; never listed
_TRIES: Final = 10


class FolderTarget:
    """Files below one folder."""

    def __init__(self, settings: TargetSettings) -> None:
        """Remember where. Raises ConfigInvalid."""
        if settings.folder is None:
            raise ConfigInvalid(f"target {settings.name!r} has no folder")
        self.name = settings.name
        self._root = settings.folder

    def reach(self) -> None:
        """Return when the folder can be entered; makes it when it is missing and its parent is there.

        The parent must be there: a disk that is not mounted is not to become a folder on the system's own disk.
        """
        try:
            self._root.mkdir(mode=0o700, exist_ok=True)
            os.listdir(self._root)  # noqa: PTH208 - whether it can be listed is all we ask
        except OSError as error:
            raise _fault(error, self._root) from error

    def room(self) -> int | None:
        """Return what is free on the disk."""
        try:
            found = os.statvfs(self._root)
        except OSError as error:
            raise _fault(error, self._root) from error
        return found.f_bavail * found.f_frsize

    def files(self, folder: str) -> Mapping[str, int]:
        """Return the files directly in a folder: name to bytes."""
        found: dict[str, int] = {}
        try:
            with os.scandir(self._root / folder) as entries:
                for entry in entries:
                    if entry.is_file(follow_symlinks=False) and not entry.name.endswith(_HALF):
                        with suppress(FileNotFoundError):  # it went meanwhile, and the others are there
                            found[entry.name] = entry.stat(follow_symlinks=False).st_size
        except FileNotFoundError:
            self._demand_root()
        except OSError as error:
            raise _fault(error, self._root / folder) from error
        return found

    def folders(self, folder: str) -> list[str]:
        """Return the names of the folders directly in a folder that hold anything, sorted."""
        try:
            with os.scandir(self._root / folder) as entries:
                names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
            return sorted(name for name in names if self._holds_anything(self._root / folder / name))
        except FileNotFoundError:
            self._demand_root()
            return []
        except OSError as error:
            raise _fault(error, self._root / folder) from error

    @staticmethod
    def _holds_anything(folder: Path) -> bool:
        try:
            return any(folder.iterdir())
        except FileNotFoundError:  # it went meanwhile
            return False

    def stat(self, name: str) -> Stat:
        """Return a file's size and the time of its last change."""
        try:
            found = (self._root / name).stat()
        except OSError as error:
            raise _fault(error, self._root / name) from error
        return Stat(size_bytes=found.st_size, changed_at=datetime.fromtimestamp(found.st_mtime, UTC))

    def read(self, name: str) -> Iterator[bytes]:
        """Yield a file's bytes. What is no file (a pipe, at which one would wait for ever) is missing."""
        try:
            with _open(self._root / name) as file:
                while piece := file.read(_PIECE_BYTES):
                    yield piece
        except OSError as error:
            raise _fault(error, self._root / name) from error

    def write(self, name: str, data: bytes) -> None:
        """Put a file, whole or not at all, durable on return."""
        self._put(name, io.BytesIO(data))

    def put(self, name: str, file: Path) -> None:
        """Put a file of any size, whole or not at all, durable on return."""
        with file.open("rb") as content:
            self._put(name, content)

    def _put(self, name: str, content: IO[bytes]) -> None:
        path = self._root / name
        half = path.with_name(f"{path.name}.{os.getpid()}{_HALF}")
        self._demand_root()
        try:
            with _create(half) as file:
                shutil.copyfileobj(content, file, _PIECE_BYTES)
                file.flush()
                os.fsync(file.fileno())
            half.replace(path)
            _sync_folder(path.parent)
        except OSError as error:
            with suppress(OSError):  # it may be no place where anything could lie
                half.unlink()
            raise _fault(error, path) from error

    def url(self, folder: str) -> str:
        """Return duplicity's name of a folder; made here, because duplicity makes no parents."""
        path = self._root / folder
        self._demand_root()
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _fault(error, path) from error
        return "file://" + quote(str(path.absolute()))

    def options(self) -> Sequence[str]:
        """Return nothing."""
        return ()

    def environment(self) -> Mapping[str, str]:
        """Return nothing: a folder needs no credentials."""
        return {}

    def close(self) -> None:
        """Nothing is open."""

    def _demand_root(self) -> None:
        if not self._root.is_dir():
            raise TargetAway(f"the folder {self._root} of target {self.name!r} is not there; is its disk mounted?")


class DeletingFolder(FolderTarget):
    """Files below one folder, for the pruner."""

    def delete(self, name: str) -> None:
        """Remove a file for good, and the folders it was in that are empty then.

        Raises TargetRefused when a folder on the way is a symbolic link: who may write at the target could lead the
        pruner to what is not his.
        """
        *folders, last = name.split("/")
        path = self._root / name
        if ".." in (*folders, last):
            raise TargetRefused(f"{name!r} leads out of the folder {self._root}")
        opened: list[int] = []
        try:
            opened.append(os.open(self._root, _FOLDER))
            for folder in folders:
                opened.append(os.open(folder, _FOLDER | os.O_NOFOLLOW, dir_fd=opened[-1]))
            with suppress(FileNotFoundError):
                os.unlink(last, dir_fd=opened[-1])
            os.fsync(opened[-1])
            with suppress(OSError):  # not empty, or gone: both are as they should be
                for number in reversed(range(len(folders))):
                    os.rmdir(folders[number], dir_fd=opened[number])
        except FileNotFoundError:
            pass  # a folder on the way is not there
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise TargetRefused(
                    f"{path}: a folder on the way is a symbolic link or a file; nothing is deleted through it"
                ) from error
            raise _fault(error, path) from error
        finally:
            for descriptor in opened:
                os.close(descriptor)


def _open(path: Path) -> IO[bytes]:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ObjectMissing(f"{path} is no file")
    return os.fdopen(descriptor, "rb", buffering=0)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, _FOLDER)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _create(path: Path) -> IO[bytes]:
    """Open a new file, its folders made. Who deletes the last file of a folder removes it, also just before ours.

    What lies there goes: a killed process' half, or a link that somebody laid there to something else.
    """
    path.unlink(missing_ok=True)
    for _ in range(_TRIES - 1):
        with suppress(FileNotFoundError):
            path.parent.mkdir(parents=True, exist_ok=True)
            return path.open("xb")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("xb")


def _fault(error: OSError, path: Path) -> BackupError:
    words = f"{path}: {error.strerror}"
    if isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError):
        return ObjectMissing(words)
    if error.errno in _FULL:
        return TargetFull(f"{words}; make room or prune old backups")
    if error.errno in _REFUSED:
        return TargetRefused(f"{words}; may this user write there?")
    return TargetAway(words)
