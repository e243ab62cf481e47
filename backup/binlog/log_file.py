"""A binary log as a file: looked through from end to end before it is archived, and again before it is replayed."""

from __future__ import annotations

import hashlib
import mmap
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from backup.binlog.events import (
    BEGINNINGS,
    ENCRYPTION,
    ENDS,
    FORMAT,
    HEADS,
    ROTATE,
    GtidState,
    gtid_of,
    read_events,
    read_next_log,
)
from backup.errors import BackupDamaged, SourceFailed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a whole log says of itself.

    since, until: when it was begun, when its last event was (aware UTC, whole seconds). next_log: what it says comes
    after it; None where the server was stopped, or died. gtids_before, gtids_after: MariaDB's transactions up to its
    begin and end; empty of others. digest: its SHA-256 in hex.
    """

    size_bytes: int
    since: datetime
    until: datetime
    next_log: str | None
    gtids_before: str
    gtids_after: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Where in a log replaying ends: before `position`, or with None at the log's end.

    last_at, last_gtid, last_end: of the last transaction before that; None where there is none.
    """

    position: int | None
    last_at: datetime | None
    last_gtid: str | None
    last_end: int | None


@contextmanager
def opened(path: Path) -> Iterator[mmap.mmap]:
    """Yield a log's bytes. Raises BackupDamaged when there are none, OSError."""
    with path.open("rb") as file:
        if path.stat().st_size == 0:
            raise BackupDamaged(f"{path.name} is empty: it is no binary log")
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            yield content
        finally:
            with suppress(BufferError):  # whoever stopped reading early still has a view of it; it goes with that
                content.close()


def look_through(path: Path) -> Facts:
    """Compare every event with its sum and return what the log says. Raises BackupDamaged, SourceFailed (encrypted)."""
    with opened(path) as content:
        gtids, before = GtidState(), None
        since, last, next_log, is_ended = None, 0, None, False
        for event in read_events(path.name, content):
            if event.kind == ENCRYPTION:
                raise SourceFailed(f"{path.name} is encrypted by its server, whose keys no backup holds")
            if event.kind == FORMAT and since is None:
                since = event.at
            if before is None and event.kind in BEGINNINGS:
                before = gtids.text
            gtids.take(event)
            last = max(last, event.at)
            is_ended = event.kind in ENDS
            next_log = read_next_log(event) if event.kind == ROTATE else None
        if since is None:
            raise BackupDamaged(f"{path.name} is no binary log: it does not say of which form it is")
        return Facts(
            size_bytes=len(content),
            since=datetime.fromtimestamp(since, UTC),
            until=datetime.fromtimestamp(last, UTC),
            next_log=next_log if is_ended else None,
            gtids_before=gtids.text if before is None else before,
            gtids_after=gtids.text,
            digest=hashlib.sha256(content).hexdigest(),
        )


def find_stop(path: Path, start: int, at: datetime | None) -> Stop:
    """Return where replaying a log from position `start` on ends: before the first transaction that was not over `at`.

    at: none: at the log's end. A transaction is of when it was committed; what began in the second of `at` is left out.
    Raises BackupDamaged when no event begins at `start`.
    """
    limit = None if at is None else int(at.timestamp())  # events tell whole seconds
    begun: tuple[int, str | None] | None = None
    last: tuple[int, str | None, int] | None = None
    current: tuple[int, str | None, int] | None = None
    is_start_found = start == 0
    with opened(path) as content:
        for event in read_events(path.name, content):
            is_start_found = is_start_found or start in (event.position, event.end)
            if event.position < start or event.kind in HEADS:
                continue
            if event.kind in BEGINNINGS:
                begun, last, current = (event.position, gtid_of(event)), current or last, None
            elif event.kind in ENDS:
                begun = None
            if begun is not None:
                if limit is not None and event.at >= limit:
                    return _stop(begun[0], last)
                current = (event.at, begun[1], event.end)
    if not is_start_found:
        raise BackupDamaged(f"no event of {path.name} begins at position {start}: is it the log of another server?")
    return _stop(None, current or last)


def _stop(position: int | None, last: tuple[int, str | None, int] | None) -> Stop:
    return Stop(
        position=position,
        last_at=None if last is None else datetime.fromtimestamp(last[0], UTC),
        last_gtid=None if last is None else last[1],
        last_end=None if last is None else last[2],
    )


def gtids_at(path: Path, position: int) -> str:
    """Return MariaDB's place at a position, as its programs tell it; empty where it has none. Raises BackupDamaged."""
    found = GtidState()
    with opened(path) as content:
        for event in read_events(path.name, content):
            if event.position >= position:
                break
            found.take(event)
    return found.position
