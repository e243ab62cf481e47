"""A folder of any remote that rclone knows as a target."""

from __future__ import annotations

import json
import re
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from backup.errors import ConfigInvalid, ObjectMissing, TargetAway, TargetRefused
from backup.runtime.private_folder import temporary_folder
from backup.settings.checks import check_name
from backup.targets.contract import Stat
from backup.targets.rclone_program import TROUBLES, read_rclone

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from backup.settings.target import TargetSettings

_FRACTION: Final = re.compile(r"\.\d+")
_HALF: Final = ".partial"  # as newer ones (1.63) call what they are sending over FTP, SMB and the like; never listed
_PIECE_BYTES: Final = 1 << 20
_FEWEST: Final = 3  # files that are worth a program of their own
_MOST_AT_HAND: Final = 256 << 20
_DEEPEST: Final = 8  # folders below each other that are looked into for a file; ours lie four deep


class RcloneTarget:
    """Files below one folder of a remote; each call is a call of the program, which signs in anew."""

    def __init__(self, settings: TargetSettings) -> None:
        """Find the program and read the password; talks to nobody. Raises ConfigInvalid."""
        if settings.remote is None:
            raise ConfigInvalid(f"target {settings.name!r} lacks a remote")
        self.name = settings.name
        self._remote, _, self._root = settings.remote.partition(":")
        self._rclone = read_rclone(settings)
        self._is_root_seen = False
        self._at_hand: Mapping[str, Path] = {}

    def reach(self) -> None:
        """Return when the folder can be listed; makes it when it is missing.

        Its parent must be there: a disk that is not mounted at the server is not to become a folder of another.
        """
        if self._is_there(""):
            return
        above = self._root.rpartition("/")[0]
        if above:
            try:
                self._rclone.ask(f"{self._remote}:{above}", "lsf", f"{self._remote}:{above}")
            except ObjectMissing as error:
                raise self._root_missing() from error
        self._ask("", "mkdir")

    def room(self) -> int | None:
        """Return what the remote says is free; None when it has no word for that."""
        try:
            found = json.loads(self._ask("", "about", "--json"))
        except (*TROUBLES, ValueError):  # that it answers `reach` has seen; not each can tell, and no code says so
            return None
        free = found.get("free")
        return free if isinstance(free, int) and free >= 0 else None

    def files(self, folder: str) -> Mapping[str, int]:
        """Return the files directly in a folder: name to bytes."""
        return {
            str(entry["Name"]): int(entry["Size"])
            for entry in self._listing(folder, "--files-only")
            if not entry["Name"].endswith(_HALF)
        }

    def folders(self, folder: str) -> list[str]:
        """Return the names of the folders directly in a folder that hold a file somewhere, sorted.

        Emptied ones stay (see `DeletingRclone`), so each is looked into: as deep as it takes to find a file.
        """
        held: set[str] = set()
        for depth in range(2, _DEEPEST):
            entries = self._listing(folder, "--recursive", f"--max-depth={depth}")
            held = {
                str(each["Path"]).partition("/")[0] for each in entries if not each["IsDir"] and "/" in each["Path"]
            }
            deepest = [str(each["Path"]) for each in entries if each["IsDir"] and each["Path"].count("/") == depth - 1]
            if all(path.partition("/")[0] in held for path in deepest):
                break
        return sorted(held)

    def stat(self, name: str) -> Stat:
        """Return a file's size, its MD5 where the remote keeps it, and when it was written."""
        found = json.loads(self._ask(name, "lsjson", "--stat", "--no-mimetype", "--hash", "--hash-type=md5"))
        if found.get("IsDir"):  # or nothing at all: with many services folders are only parts of names
            raise ObjectMissing(f"{self._place(name)} is not there")
        return Stat(
            size_bytes=int(found["Size"]),
            md5=(found.get("Hashes") or {}).get("md5") or None,
            changed_at=_instant(str(found.get("ModTime", ""))),
        )

    def read(self, name: str) -> Iterator[bytes]:
        """Yield a file's bytes; one that is cut short on its way raises TargetAway."""
        if (file := self._at_hand.get(name)) is None:
            is_empty = True
            for piece in self._rclone.stream(self._place(name), "cat", self._place(name)):
                is_empty = False
                yield piece
            if is_empty:
                self.stat(name)  # where folders are parts of names, one that is missing is a folder without files
            return
        with file.open("rb") as content:
            while piece := content.read(_PIECE_BYTES):
                yield piece

    @contextmanager
    def fetching(self, folder: str, files: Mapping[str, int]) -> Iterator[None]:
        """Fetch files by one program, several at once; a set's manifests one by one took a program and a login each."""
        names = [name for name in files if check_name(name) is None]
        with ExitStack() as stack:
            if len(names) >= _FEWEST and sum(files.values()) <= _MOST_AT_HAND:
                with suppress(OSError, *TROUBLES):  # the one that cannot be fetched says so when it is read
                    place = stack.enter_context(temporary_folder("bkp-rclone-"))
                    self._at_hand = self._fetched(folder, names, place)
            try:
                yield
            finally:
                self._at_hand = {}

    def _fetched(self, folder: str, names: Sequence[str], place: Path) -> Mapping[str, Path]:
        listed, to = place / "names", place / "files"
        to.mkdir()
        listed.write_text("\n".join(names), encoding="utf-8")
        bounds = (f"--files-from-raw={listed}", f"--max-transfer={_MOST_AT_HAND}B", "--no-traverse")
        self._rclone.ask(self._place(folder), "copy", *bounds, self._place(folder), str(to))
        return {f"{folder}/{name}": to / name for name in names if (to / name).is_file()}

    def write(self, name: str, data: bytes) -> None:
        """Put a file of what rclone gets piped; it has looked whether it is there when it ends well.

        It goes there under its own name: who may only add files can rename none.
        """
        self._demand_root()
        with tempfile.TemporaryFile() as file:
            file.write(data)
            file.seek(0)
            whole = f"--streaming-upload-cutoff={len(data) + 1}B"  # sent with its size, from memory
            self._rclone.send(self._place(name), len(data), "rcat", whole, self._place(name), content=file)

    def put(self, name: str, file: Path) -> None:
        """Put a file of any size; rclone compares its size, and its sum where the remote has one."""
        self._demand_root()
        with file.open("rb"):  # whether it can be read; rclone has one code for that and for a target that is away
            size = file.stat().st_size
        self._rclone.send(self._place(name), size, "copyto", str(file), self._place(name))

    def url(self, folder: str) -> str:
        """Return duplicity's name of a folder; its backend takes the first slash away again."""
        self._demand_root()
        return f"rclone://{self._remote}:/{self._path(folder)}"

    def options(self) -> Sequence[str]:
        """Return nothing."""
        return ()

    def environment(self) -> Mapping[str, str]:
        """Return what tells the rclone that duplicity starts the same as ours, and has it end with duplicity."""
        return {**self._rclone.environment, "WATCHKEEP_RCLONE": "yes"}

    def close(self) -> None:
        """Nothing is open."""

    def _listing(self, folder: str, *options: str) -> list[dict[str, Any]]:
        try:
            text = self._ask(folder, "lsjson", "--no-modtime", "--no-mimetype", *options)
        except ObjectMissing:
            self._demand_root()
            return []
        found: list[dict[str, Any]] = json.loads(text)
        return found

    def _demand_root(self) -> None:
        if not self._is_root_seen and not self._is_there(""):
            raise self._root_missing()

    def _is_there(self, folder: str) -> bool:
        try:
            self._ask(folder, "lsf", "--max-depth=1")
        except ObjectMissing:
            return False
        self._is_root_seen = True
        return True

    def _root_missing(self) -> TargetAway:
        return TargetAway(f"the folder {self._place('')} is not there; is its disk mounted at the server?")

    def _path(self, name: str) -> str:
        return "/".join(part for part in (self._root, name) if part)

    def _place(self, name: str) -> str:
        return f"{self._remote}:{self._path(name)}"

    def _ask(self, name: str, command: str, *options: str) -> str:
        return self._rclone.ask(self._place(name), command, *options, self._place(name))


class DeletingRclone(RcloneTarget):
    """Files below one folder of a remote, for the pruner."""

    def delete(self, name: str) -> None:
        """Remove a file; one that is not there is no error. A service that has a trash may keep it there.

        Emptied folders stay: many services can only delete a folder with all that is in it, so rclone looks whether it
        is empty and deletes it then, and what somebody put there in between would be gone.
        """
        if ".." in name.split("/"):
            raise TargetRefused(f"{name!r} leads out of {self._place('')}")
        try:
            self._ask(name, "deletefile")
        except ObjectMissing:
            return
        except TROUBLES:
            try:
                self.stat(name)  # one that is missing has no code of its own with this command (1.60)
            except ObjectMissing:
                return
            raise


def _instant(text: str) -> datetime | None:
    """Return an instant as rclone writes it (RFC 3339, to the nanosecond); None when it does not tell."""
    try:
        return datetime.fromisoformat(_FRACTION.sub("", text)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
