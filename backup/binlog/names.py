"""What archived binary logs are called at a target.

Below the set's folder: `binlog/LINE/THOUSANDS/LOG-SINCE-UNTIL-PIECEofPIECES-DIGEST.SEAL.gpg`. LINE is the instant at
which an unbroken series of logs of one server began to be archived; the names tell everything that a choice needs, and
by the seal whoever has no key can compare what lies there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from backup.model import instant_name, read_instant
from backup.saving.sealed_files import SEAL, read_seal

if TYPE_CHECKING:
    from datetime import datetime

    from backup.saving.sealed_files import Seal

_LOG: Final = re.compile(r"(?P<base>[A-Za-z0-9._-]{1,120})\.(?P<number>\d{6,10})")
_PIECE: Final = re.compile(
    r"(?P<log>.+)-(?P<since>\d{8}T\d{6}Z)-(?P<until>\d{8}T\d{6}Z)-(?P<piece>\d{1,6})of(?P<pieces>\d{1,6})"
    rf"-(?P<digest>[0-9a-f]{{16}}){SEAL}\.gpg"
)
_A_FOLDER: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class LogName:
    """A binary log's name: "mariadb-bin.000042" is base and number."""

    base: str
    number: int

    def __str__(self) -> str:
        return f"{self.base}.{self.number:06d}"

    @property
    def next(self) -> LogName:
        """The one that comes after it."""
        return LogName(base=self.base, number=self.number + 1)

    @property
    def folder(self) -> str:
        """The folder it lies in, below its line's: of a thousand logs each."""
        return f"{self.number // _A_FOLDER:06d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One piece of a log at the target: `piece` of `pieces`, counted from 1.

    since, until: when the log was begun and when its last event was (whole seconds, by the server's clock, aware UTC).
    digest: the first 16 hex digits of the whole log's SHA-256. seal: of what lies there; None where it was archived
    before names told that. size_bytes: of what lies there now.
    """

    log: LogName
    since: datetime
    until: datetime
    piece: int
    pieces: int
    digest: str
    seal: Seal | None = None
    size_bytes: int = 0

    @property
    def name(self) -> str:
        """Its file name at the target."""
        times = f"{instant_name(self.since)}-{instant_name(self.until)}"
        seal = "" if self.seal is None else self.seal.ending
        return f"{self.log}-{times}-{self.piece}of{self.pieces}-{self.digest}{seal}.gpg"

    def is_same(self, other: Piece) -> bool:
        """Whether it has the same content as another."""
        return (self.log, self.piece, self.digest) == (other.log, other.piece, other.digest)

    @property
    def is_torn(self) -> bool:
        """Whether it is shorter or longer than it was."""
        return self.seal is not None and self.seal.size_bytes != self.size_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedLog:
    """A log that is whole at the target: all its pieces are there, in order."""

    line: str
    pieces: tuple[Piece, ...]

    @property
    def log(self) -> LogName:
        """Its name."""
        return self.pieces[0].log

    @property
    def since(self) -> datetime:
        """When it was begun."""
        return self.pieces[0].since

    @property
    def until(self) -> datetime:
        """When its last event was."""
        return self.pieces[0].until

    @property
    def size_bytes(self) -> int:
        """What it takes at the target."""
        return sum(each.size_bytes for each in self.pieces)


def read_log_name(text: str) -> LogName | None:
    """Return a log's name; None of one that could not stand in a file's name here."""
    found = _LOG.fullmatch(text)
    if found is None or str(name := LogName(base=found["base"], number=int(found["number"]))) != text:
        return None
    return name


def read_piece_name(name: str, size_bytes: int) -> Piece | None:
    """Return what a file at the target is; None when it is no piece of ours."""
    found = _PIECE.fullmatch(name)
    log = None if found is None else read_log_name(found["log"])
    if found is None or log is None or not 1 <= int(found["piece"]) <= int(found["pieces"]):
        return None
    try:
        since, until = read_instant(found["since"]), read_instant(found["until"])
    except ValueError:
        return None
    return Piece(
        log=log, since=since, until=until, piece=int(found["piece"]), pieces=int(found["pieces"]),
        digest=found["digest"], seal=read_seal(found.groupdict()), size_bytes=size_bytes,
    )  # fmt: skip


def whole_logs(line: str, pieces: list[Piece]) -> list[ArchivedLog]:
    """Return the logs of which every piece is there, by number; a put that was cut off leaves some without.

    Of a piece that was put again the one that is not torn.
    """
    found: dict[tuple[int, str, str], dict[int, Piece]] = {}
    for each in sorted(pieces, key=lambda each: each.is_torn, reverse=True):
        found.setdefault((each.log.number, each.log.base, each.digest), {})[each.piece] = each
    whole = [
        ArchivedLog(line=line, pieces=tuple(parts[number] for number in sorted(parts)))
        for parts in found.values()
        if len(parts) == next(iter(parts.values())).pieces
    ]
    return sorted(whole, key=lambda each: (each.log.number, each.since))
