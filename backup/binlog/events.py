"""The events of a binary log, read from its bytes: where each lies, when it was, whose transaction it begins.

The form is the same of MariaDB and MySQL (MySQL's internals manual, "Binary Log Event Structure"; log_event.h of both):
four bytes that say what it is, then events, each with a head of 19 bytes and, where the log's first event says so, a
CRC32 at its end. Only whole seconds are told of an event's time.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

from backup.errors import BackupDamaged

if TYPE_CHECKING:
    from collections.abc import Iterator
    from mmap import mmap

MAGIC: Final = b"\xfebin"
STOP, ROTATE, FORMAT, QUERY = 3, 4, 15, 2
LOAD_QUERY, PAYLOAD = 18, 40
XA_PREPARE: Final = 38
QUERY_COMPRESSED: Final = 165  # MariaDB's, with log_bin_compress
ENCRYPTION: Final = 164  # MariaDB's: from here on the log can be read by its server alone
GTID_LIST, MARIADB_GTID, CHECKPOINT = 163, 162, 161
PREVIOUS_GTIDS, GTID, ANONYMOUS_GTID, TAGGED_GTID = 35, 33, 34, 42
BEGINNINGS: Final = frozenset({MARIADB_GTID, GTID, ANONYMOUS_GTID, TAGGED_GTID})
"""Each of these begins a transaction, which goes on to the next of them; so does a single statement like CREATE."""
HEADS: Final = frozenset({FORMAT, GTID_LIST, CHECKPOINT, PREVIOUS_GTIDS, ENCRYPTION})
"""What a log holds that holds nothing yet."""
ENDS: Final = frozenset({STOP, ROTATE})
_HEAD: Final = struct.Struct("<IBIIIH")
_HEAD_BYTES: Final = 19
_FORMAT_FIXED: Final = 2 + 50 + 4 + 1  # then a byte for each kind of event, the kind of sum, the sum
_SUMS_BYTES: Final = 4
_FLAGS_AT: Final = 17
_IN_USE: Final = 1


class Event(NamedTuple):
    """One event. at: seconds since 1970 (UTC) by the server's clock. position, end: bytes of its log.

    body: what comes after its head, without its sum.
    """

    kind: int
    at: int
    server_id: int
    position: int
    end: int
    body: memoryview


def read_events(name: str, log: bytes | mmap) -> Iterator[Event]:
    """Yield every event of a log, its sum having been compared. Raises BackupDamaged naming log and position."""
    if log[: len(MAGIC)] != MAGIC:
        raise BackupDamaged(f"{name} is no binary log that can be read: it begins with other bytes than one")
    whole, position, size, has_sums = memoryview(log), len(MAGIC), len(log), True
    while position < size:
        if size - position < _HEAD_BYTES:
            raise BackupDamaged(f"{name} ends in the middle of an event, at position {position}")
        at, kind, server_id, length, _, _ = _HEAD.unpack_from(log, position)
        end = position + length
        if length < _HEAD_BYTES or end > size:
            raise BackupDamaged(f"{name} ends in the middle of an event, at position {position}")
        if kind == FORMAT:
            if length < _HEAD_BYTES + _FORMAT_FIXED + 1 + _SUMS_BYTES:
                raise BackupDamaged(f"{name} is of a server that is too old: its events cannot be compared")
            has_sums = log[end - _SUMS_BYTES - 1] == 1
        if (has_sums or kind == FORMAT) and not _is_whole(whole[position:end], kind):
            raise BackupDamaged(f"{name} is damaged: the event at position {position} has another sum than it says")
        body_end = end - _SUMS_BYTES if has_sums or kind == FORMAT else end
        yield Event(kind, at, server_id, position, end, whole[position + _HEAD_BYTES : body_end])
        position = end


def _is_whole(event: memoryview, kind: int) -> bool:
    said = int.from_bytes(event[-_SUMS_BYTES:], "little")
    if kind != FORMAT:
        return zlib.crc32(event[:-_SUMS_BYTES]) == said
    plain = bytearray(event[:-_SUMS_BYTES])
    plain[_FLAGS_AT] &= ~_IN_USE & 0xFF  # set in the log of a server that died, and in no sum
    return zlib.crc32(plain) == said


class Statement(NamedTuple):
    """A statement a log has as text, and the database that was the session's own (empty: none).

    is_load: it reads a file, which lies in the log before it. is_prepared: it ends the first half of a distributed
    transaction (XA), whose second half may come later, or never. is_hidden: there may be statements, but MySQL
    compressed them with what else its transaction did.
    """

    database: str
    text: bytes
    is_load: bool = False
    is_prepared: bool = False
    is_hidden: bool = False


def read_statement(event: Event) -> Statement | None:
    """Return the statement of an event; None of one that has none. Raises BackupDamaged."""
    if event.kind not in (QUERY, QUERY_COMPRESSED, LOAD_QUERY):
        return None
    try:
        _, _, name_bytes, _, status_bytes = struct.unpack_from("<IIBHH", event.body)
        start = status_bytes + (26 if event.kind == LOAD_QUERY else 13)
        database = bytes(event.body[start : start + name_bytes]).decode("utf-8", "surrogateescape")
        text = bytes(event.body[start + name_bytes + 1 :])
        if event.kind == QUERY_COMPRESSED:  # a byte with the length of the length, the length, zlib's stream
            text = zlib.decompress(text[1 + (text[0] & 7) :])
    except (struct.error, IndexError, zlib.error) as error:
        raise BackupDamaged(f"the statement at position {event.position} of a binary log cannot be read") from error
    return Statement(database, text, event.kind == LOAD_QUERY)


def may_have_statements(event: Event) -> bool:
    """Whether what a MySQL's event begins may change something by a statement, not by rows alone."""
    if event.kind == TAGGED_GTID:  # its flags lie elsewhere: they are not looked at
        return True
    return event.kind in (GTID, ANONYMOUS_GTID) and len(event.body) > 0 and bool(event.body[0] & 1)


def read_next_log(event: Event) -> str:
    """Return the log that a ROTATE says comes next."""
    return bytes(event.body[8:]).decode("utf-8", "replace")


class GtidState:
    """Which transactions a MariaDB's log has up to a place: by domain and server the last number."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[int, int], int] = {}
        self._last: dict[int, tuple[int, int]] = {}  # by domain: server and number

    def take(self, event: Event) -> None:
        """Take the next event; others than MariaDB's own change nothing."""
        if event.kind == MARIADB_GTID and len(event.body) >= 12:
            number, domain = struct.unpack_from("<QI", event.body)
            self._put(domain, event.server_id, number)
        elif event.kind == GTID_LIST and len(event.body) >= 4:
            count = int.from_bytes(event.body[:4], "little") & 0x0FFF_FFFF
            if 4 + 16 * count <= len(event.body):
                for domain, server, number in struct.iter_unpack("<IIQ", event.body[4 : 4 + 16 * count]):
                    self._put(domain, server, number)

    def _put(self, domain: int, server: int, number: int) -> None:
        self._numbers[domain, server] = number
        self._last[domain] = (server, number)

    @property
    def text(self) -> str:
        """All of it, in an order of its own: two logs follow each other when it is the same."""
        return ",".join(f"{domain}-{server}-{number}" for (domain, server), number in sorted(self._numbers.items()))

    @property
    def position(self) -> str:
        """The last of each domain, as mariadb-dump tells a place ("0-1-42")."""
        return ",".join(f"{domain}-{server}-{number}" for domain, (server, number) in sorted(self._last.items()))


def gtid_of(event: Event) -> str | None:
    """Return how its server calls the transaction that an event begins; None where it has no such name."""
    if event.kind == MARIADB_GTID and len(event.body) >= 12:
        number, domain = struct.unpack_from("<QI", event.body)
        return f"{domain}-{event.server_id}-{number}"
    if event.kind == GTID and len(event.body) >= 25:
        uuid = bytes(event.body[1:17]).hex()
        parts = (uuid[:8], uuid[8:12], uuid[12:16], uuid[16:20], uuid[20:])
        return f"{'-'.join(parts)}:{int.from_bytes(event.body[17:25], 'little')}"
    return None
