"""The archived binary logs of one set at a target: listed, put and fetched in pieces, each sealed and compared."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from backup.binlog.names import Piece, read_piece_name, whole_logs
from backup.errors import BackupDamaged, ObjectMissing, SignatureBad, SourceFailed
from backup.saving.sealed_files import get_sealed, is_as_sealed, put_sealed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from backup.binlog.log_file import Facts
    from backup.binlog.names import ArchivedLog, LogName
    from backup.keys.key import Key
    from backup.keys.ring import KeyRing
    from backup.model import Place
    from backup.saving.sealed_files import Seal
    from backup.targets.contract import Target

PIECE_BYTES: Final = 32 << 20  # gpg takes each in memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A log as a file that was looked through."""

    log: LogName
    path: Path
    facts: Facts


class BinlogArchive:
    """The archive of a set. Raises what target and keys raise."""

    def __init__(self, target: Target, place: Place, ring: KeyRing) -> None:
        self._target, self._place, self._ring = target, place, ring

    def lines(self) -> list[str]:
        """Return the unbroken lines of logs there are, oldest first."""
        return sorted(self._target.folders(self._place.binlog))

    def pieces(self, line: str) -> dict[str, Piece]:
        """Return every piece of a line by its name at the target; takes a request for each thousand logs."""
        root = f"{self._place.binlog}/{line}"
        return {
            f"{root}/{folder}/{name}": piece
            for folder in self._target.folders(root)
            for name, size in self._target.files(f"{root}/{folder}").items()
            if (piece := read_piece_name(name, size)) is not None
        }

    def logs(self) -> list[ArchivedLog]:
        """Return every log that is whole, by line and number."""
        return [log for line in self.lines() for log in whole_logs(line, list(self.pieces(line).values()))]

    def put(self, line: str, fetched: Fetched, signer: Key, recipients: Sequence[Key]) -> None:
        """Archive a log: each piece sealed, written, read back. One that is there is read, as it may be of a put that
        was cut off before anybody compared it, and put again beside it where it is not what its name says.

        Raises SourceFailed when another log of that name is in the line.
        """
        log, facts = fetched.log, fetched.facts
        folder = f"{self._place.binlog}/{line}/{log.folder}"
        there = self._target.files(folder)
        digest = facts.digest[:16]
        known = [piece for name, size in there.items() if (piece := read_piece_name(name, size)) and piece.log == log]
        if any(each.digest != digest for each in known):
            raise SourceFailed(f"the archive has another {log}: do two servers archive to the same set?")
        count = -(-facts.size_bytes // PIECE_BYTES)
        with fetched.path.open("rb") as file:
            for number in range(1, count + 1):
                content = file.read(PIECE_BYTES)
                piece = Piece(log=log, since=facts.since, until=facts.until, piece=number, pieces=count, digest=digest)
                if not any(self._is_whole(folder, each) for each in known if each.piece == number):
                    put_sealed(self._target, self._ring, _naming(folder, piece), content, signer, recipients)

    def fetch(self, log: ArchivedLog, folder: Path) -> Path:
        """Bring a log back into `folder`, its signatures and its digest having been compared; return where it is.

        Raises ObjectMissing, KeyWrong, SignatureBad, BackupDamaged naming the piece; OSError.
        """
        path = folder / str(log.log)
        found = hashlib.sha256()
        path.touch(mode=0o600)
        with path.open("wb") as file:
            for piece in log.pieces:
                content = self._open(f"{self._place.binlog}/{log.line}/{log.log.folder}", piece)
                found.update(content)
                file.write(content)
        if found.hexdigest()[:16] != log.pieces[0].digest:
            raise BackupDamaged(f"{log.log} in line {log.line} of the archive is another log than its name says")
        return path

    def _is_whole(self, folder: str, piece: Piece) -> bool:
        return piece.seal is not None and is_as_sealed(self._target, f"{folder}/{piece.name}", piece.seal)

    def _open(self, folder: str, piece: Piece) -> bytes:
        """Return a piece's content; of one that is damaged and was put again, that one's."""
        name = f"{folder}/{piece.name}"
        try:
            return get_sealed(self._target, self._ring, self._place.host, name, PIECE_BYTES + 1)
        except (BackupDamaged, ObjectMissing, SignatureBad):
            for other, size in self._target.files(folder).items():
                read = read_piece_name(other, size)
                if read is not None and read.name != piece.name and read.is_same(piece):
                    return get_sealed(self._target, self._ring, self._place.host, f"{folder}/{other}", PIECE_BYTES + 1)
            raise


def _naming(folder: str, piece: Piece) -> Callable[[Seal], str]:
    return lambda seal: f"{folder}/{replace(piece, seal=seal).name}"
