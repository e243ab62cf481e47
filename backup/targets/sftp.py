"""A folder behind an SFTP server as a target."""

from __future__ import annotations

import errno
import io
import os
import stat
from contextlib import suppress
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Final, TypeVar
from urllib.parse import quote

from backup.errors import (
    BackupError,
    ConfigInvalid,
    ObjectMissing,
    TargetAway,
    TargetDiffers,
    TargetFull,
    TargetRefused,
)
from backup.targets.contract import Stat
from backup.targets.paced import open_to_send
from backup.targets.sftp_extension import extended, free_bytes
from backup.targets.ssh_login import SIGN_IN_TROUBLES, explain, read_login, sign_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import paramiko

    from backup.settings.target import TargetSettings

AnswerT = TypeVar("AnswerT")
_PIECE_BYTES: Final = 1 << 20
_REQUESTS_AHEAD: Final = 64  # of 32 KiB each: what is read before it is asked for
_HALF: Final = ".half"  # the ending of a file that is being written; never listed
_REFUSED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


class SftpTarget:
    """Files below one folder of an SFTP server; its key has to be in the file of known hosts."""

    def __init__(self, settings: TargetSettings) -> None:
        """Read keys and password; connects at the first call. Raises ConfigInvalid."""
        if settings.path is None:
            raise ConfigInvalid(f"target {settings.name!r} lacks settings of an SFTP server")
        self.name = settings.name
        self._root = settings.path
        self._upload_limit = settings.upload_limit
        self._login = read_login(settings)
        self._client: paramiko.SSHClient | None = None
        self._open: paramiko.SFTPClient | None = None

    def reach(self) -> None:
        """Return when the server knows us and the folder can be listed; makes it when only it is missing.

        Its parent must be there: a disk that is not mounted is not to become a folder on the server's own disk.
        """
        try:
            self._ask("", lambda sftp: sftp.listdir(self._root))
        except ObjectMissing:
            try:
                self._ask("", lambda sftp: sftp.mkdir(self._root, 0o700))
            except ObjectMissing as error:
                raise self._root_missing() from error
            except TargetAway:  # as in _make_folders: another set's first run may have made it
                if not self._is_there(""):
                    raise

    def room(self) -> int | None:
        """Return what is free on the server's disk, where it tells."""
        return self._ask("", lambda sftp: free_bytes(sftp, self._root))

    def files(self, folder: str) -> Mapping[str, int]:
        """Return the files directly in a folder: name to bytes."""
        return {
            entry.filename: entry.st_size or 0
            for entry in self._entries(folder)
            if stat.S_ISREG(entry.st_mode or 0) and not entry.filename.endswith(_HALF)
        }

    def folders(self, folder: str) -> list[str]:
        """Return the names of the folders directly in a folder that hold anything, sorted."""
        names = [entry.filename for entry in self._entries(folder) if stat.S_ISDIR(entry.st_mode or 0)]
        return sorted(name for name in names if self._entries(f"{folder}/{name}" if folder else name))

    def stat(self, name: str) -> Stat:
        """Return a file's size and the time of its last change."""
        found = self._ask(name, lambda sftp: sftp.stat(self._path(name)))
        changed = None if found.st_mtime is None else datetime.fromtimestamp(found.st_mtime, UTC)
        return Stat(size_bytes=found.st_size or 0, changed_at=changed)

    def read(self, name: str) -> Iterator[bytes]:
        """Yield a file's bytes; one that is cut short on its way raises TargetAway."""
        expected = self.stat(name).size_bytes
        file = self._ask(name, lambda sftp: sftp.open(self._path(name), "rb"))
        got = 0
        try:
            with file:
                file.prefetch(expected, _REQUESTS_AHEAD)
                while piece := file.read(_PIECE_BYTES):
                    got += len(piece)
                    yield piece
        except (*SIGN_IN_TROUBLES, EOFError) as error:
            self.close()
            raise self._fault(error, name) from error
        if got != expected:
            raise TargetAway(f"{self._place(name)}: {got} of {expected} bytes came")

    def write(self, name: str, data: bytes) -> None:
        """Put a file, whole or not at all: under another name, made durable where the server can, then renamed."""
        self._put(name, io.BytesIO(data), len(data))

    def put(self, name: str, file: Path) -> None:
        """Put a file of any size as `write` does."""
        with open_to_send(file, self._upload_limit) as content:
            self._put(name, content, file.stat().st_size)

    def _put(self, name: str, content: IO[bytes], size_bytes: int) -> None:
        self._demand_root()
        path = self._path(name)
        half = f"{path}.{os.getpid()}{_HALF}"
        self._make_folders(name.rpartition("/")[0])

        def send(sftp: paramiko.SFTPClient) -> int:
            content.seek(0)
            sftp.putfo(content, half, confirm=False)
            with sftp.open(half, "r+b") as file:
                extended(sftp, "fsync@openssh.com", file.handle)
            arrived = sftp.stat(half).st_size or 0
            if arrived == size_bytes and not extended(sftp, "posix-rename@openssh.com", half, path):
                with suppress(FileNotFoundError):
                    sftp.remove(path)  # a server without that extension renames onto nothing that is there
                sftp.rename(half, path)
            return arrived

        try:
            arrived = self._ask(name, send, room=size_bytes)
        except (TargetFull, TargetRefused):
            with suppress(BackupError):
                self._ask(name, lambda sftp: sftp.remove(half))
            raise
        if arrived != size_bytes:
            raise TargetDiffers(f"{self._place(name)}: {arrived} of {size_bytes} bytes arrived")

    def url(self, folder: str) -> str:
        """Return duplicity's name of a folder, which is made: its parents too."""
        self._demand_root()
        self._make_folders(folder)
        at = f"[{self._login.address}]" if ":" in self._login.address else self._login.address
        return f"sftp://{quote(self._login.user, safe='')}@{at}:{self._login.port}/{self._path(folder)}"

    def options(self) -> Sequence[str]:
        """Return what makes duplicity trust the same keys of the server, and show the same one of ours."""
        return (f"--ssh-options={' '.join(self._login.ssh_options)}",)

    def environment(self) -> Mapping[str, str]:
        """Return the password, and a home without an SSH configuration or keys that could be taken instead."""
        return {"HOME": "/nonexistent", **({"BACKEND_PASSWORD": self._login.password} if self._login.password else {})}

    def close(self) -> None:
        """Let the connection go."""
        if self._client is not None:
            self._client.close()
        self._client = self._open = None

    def _entries(self, folder: str) -> list[paramiko.SFTPAttributes]:
        try:
            return self._ask(folder, lambda sftp: sftp.listdir_attr(self._path(folder)))
        except ObjectMissing:
            self._demand_root()
            return []

    def _make_folders(self, folder: str) -> None:
        """Make a folder below the root, and those above it, where they are missing."""
        if not folder or self._is_there(folder):
            return
        self._make_folders(folder.rpartition("/")[0])
        try:
            self._ask(folder, lambda sftp: sftp.mkdir(self._path(folder)))
        except TargetAway:  # "Failure" is all a server says of a folder that somebody else just made
            if not self._is_there(folder):
                raise

    def _is_there(self, name: str) -> bool:
        try:
            self._ask(name, lambda sftp: sftp.stat(self._path(name)))
        except ObjectMissing:
            return False
        return True

    def _demand_root(self) -> None:
        if not self._is_there(""):
            raise self._root_missing()

    def _root_missing(self) -> TargetAway:
        return TargetAway(f"the folder {self._root} is not at {self._login.address}; is its disk mounted there?")

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    def _place(self, name: str) -> str:
        return f"{self._login.address}:{self._path(name)}"

    def _ask(self, name: str, question: Callable[[paramiko.SFTPClient], AnswerT], room: int = 0) -> AnswerT:
        """Ask the server; once more over a new connection when the old one had broken while nobody used it.

        room: bytes the question needs there; a server says nothing but "Failure" when it has them not.
        """
        was_open = self._open is not None
        try:
            return question(self._connected())
        except (*SIGN_IN_TROUBLES, EOFError) as error:
            is_broken = self._client is None or (transport := self._client.get_transport()) is None or (
                not transport.is_active()
            )  # fmt: skip
            if not is_broken:
                raise self._fault(error, name, room) from error
            self.close()
            if not was_open:
                raise self._fault(error, name, room) from error
        try:
            return question(self._connected())
        except (*SIGN_IN_TROUBLES, EOFError) as error:
            raise self._fault(error, name, room) from error

    def _connected(self) -> paramiko.SFTPClient:
        if self._open is None:
            self._client, self._open = sign_in(self._login)
        return self._open

    def _fault(self, error: Exception, name: str, room: int = 0) -> BackupError:
        place = self._place(name)
        number = getattr(error, "errno", None)
        if self._open is None or not isinstance(error, OSError | EOFError):
            return explain(error, self._login)
        if number == errno.ENOENT:
            return ObjectMissing(f"{place} is not there")
        if number in _REFUSED:
            return TargetRefused(f"{place}: refused; may {self._login.user!r} do this there?")
        if isinstance(error, TimeoutError) or number is not None or isinstance(error, EOFError):
            return TargetAway(f"{place}: no answer ({type(error).__name__})")
        free = free_bytes(self._open, self._root)
        if room and free is not None and free <= room:
            return TargetFull(f"{place}: {free} bytes are free there; make room or prune old backups")
        return TargetAway(f"{place}: the server says {str(error) or 'nothing'!r}")


class DeletingSftp(SftpTarget):
    """Files below one folder of an SFTP server, for the pruner."""

    def delete(self, name: str) -> None:
        """Remove a file for good, and the folders it was in that are empty then.

        Raises TargetRefused when a folder on the way is a symbolic link: who may write at the target could lead the
        pruner to what is not his.
        """
        *folders, last = name.split("/")
        if ".." in (*folders, last):
            raise TargetRefused(f"{name!r} leads out of the folder {self._root}")
        try:
            for number in range(len(folders)):
                self._demand_folder("/".join(folders[: number + 1]))
        except ObjectMissing:
            return
        with suppress(ObjectMissing):
            self._ask(name, lambda sftp: sftp.remove(self._path(name)))
        with suppress(ObjectMissing, TargetAway):  # not empty any more, or gone: both are as they should be
            while folders and not self._entries("/".join(folders)):
                self._ask(name, lambda sftp: sftp.rmdir(self._path("/".join(folders))))
                folders.pop()

    def _demand_folder(self, name: str) -> None:
        found = self._ask(name, lambda sftp: sftp.lstat(self._path(name)))
        if not stat.S_ISDIR(found.st_mode or 0):
            raise TargetRefused(f"{self._place(name)} is no folder; nothing is deleted through it")
