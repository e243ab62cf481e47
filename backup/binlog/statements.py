"""Which statements of binary logs cannot be replayed into one database by itself; pure but for reading the logs.

A row that was changed names its table, and programs tell it apart by that. A statement is text: programs judge it by
the session's own database alone, and rename only that. One that names a database itself would be left out, or would
change another database than the one that is restored: in the worst case the one it is restored beside.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from backup.binlog.events import (
    BEGINNINGS,
    HEADS,
    PAYLOAD,
    XA_PREPARE,
    Statement,
    may_have_statements,
    read_events,
    read_statement,
)
from backup.binlog.log_file import opened
from backup.errors import DestinationInUse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from backup.binlog.recovery import Way

_TOKEN: Final = re.compile(
    rb"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\"|/\*(?!M?!).*?\*/|--[ \t][^\n]*|#[^\n]*"
    rb"|`(?:[^`]|``)*`|/\*M?!\d*|[A-Za-z0-9_$\x80-\xff]+|\S",
    re.DOTALL,
)
_NO_WORD: Final = (b"'", b"/*", b"-- ", b"--\t", b"#")
_ACCOUNTS: Final = re.compile(
    rb"(?:\s|/\*.*?\*/)*(?:GRANT|REVOKE|(?:CREATE(?:\s+OR\s+REPLACE)?|ALTER|DROP|RENAME)\s+(?:USER|ROLE)"
    rb"|SET\s+(?:PASSWORD|DEFAULT\s+ROLE))\b",
    re.IGNORECASE | re.DOTALL,
)
_BY_ACCOUNTS: Final = re.compile(
    rb"\s*(?:FLUSH\b|(?:CREATE(?:\s+OR\s+REPLACE)?|DROP)\s+(?:AGGREGATE\s+)?FUNCTION\b.*\bSONAME\b)",
    re.IGNORECASE | re.DOTALL,
)
_TEMPORARY: Final = re.compile(rb"DROP\s+(?:/\*!\d*\s*)?TEMPORARY\b", re.IGNORECASE)
"""What ends a session's own tables, with their full names; there is no other table it could touch."""

_BEFORE_A_NAME: Final = frozenset((b"DATABASE", b"SCHEMA"))
_LONGEST_SHOWN: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The names a replay has to do with.

    saved, restored: of the database, then and now. others: databases that must stay as they are.
    """

    saved: str
    restored: str
    others: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A stretch of logs: from `start` of the first to `stop` of the last; None: to its end."""

    files: tuple[Path, ...]
    start: int
    stop: int | None


def segments_of(way: Way, is_left_out: Callable[[Statement], bool]) -> tuple[list[Segment], int]:
    """Return what is to be replayed of the logs, and how many statements that leaves out."""
    found: list[Segment] = []
    files, start, left_out = list(way.files), way.start, 0
    for path, begun, ended, statement in _statements(way):
        if is_left_out(statement):
            index = files.index(path)
            found.append(Segment(files=tuple(files[: index + 1]), start=start, stop=begun))
            files, start, left_out = files[index:], ended, left_out + 1
    found.append(Segment(files=tuple(files), start=start, stop=way.stop))
    return found, left_out


def is_of_accounts(statement: Statement) -> bool:
    """Whether a statement is about accounts, which are the server's and none of one database's."""
    return _ACCOUNTS.match(statement.text) is not None


def is_refused_without_accounts(statement: Statement) -> bool:
    """Whether a server that was started without its accounts refuses a statement, or would bring them back by it."""
    return is_of_accounts(statement) or _BY_ACCOUNTS.match(statement.text) is not None


def demand_replayable(way: Way, names: Names) -> None:
    """Return when every statement of the way can be replayed into the database by itself. Raises DestinationInUse."""
    for path, begun, _, statement in _statements(way):
        why = objection(statement, names)
        if why is not None:
            text = " ".join(statement.text.decode("utf-8", "replace").split())[:_LONGEST_SHOWN]
            raise DestinationInUse(
                f"the statement at position {begun} of {path.name} {why}: {text}. It cannot be replayed into one"
                " database by itself; --at a time before it can be reached"
            )


def objection(statement: Statement, names: Names) -> str | None:
    """Return why a statement cannot be replayed into one database; None when it can, or is not of it at all."""
    if statement.is_hidden:
        return "may be one of several that MySQL compressed, and cannot be looked at (binlog_transaction_compression)"
    if statement.is_prepared:
        return "is half of a distributed transaction (XA PREPARE), during which a session can do nothing else"
    is_own = statement.database == names.saved
    if statement.is_load and is_own:
        return "loads a file (LOAD DATA), which is not replayed"
    lowered = statement.text.lower()
    suspects = [
        name for name in ({names.saved, *names.others} if is_own else {names.saved}) if name.encode().lower() in lowered
    ]
    if not suspects or is_of_accounts(statement) or _TEMPORARY.match(statement.text):
        return None
    named = set(_databases(statement.text))
    for name in sorted(suspects):
        if name.encode().lower() not in named:
            continue
        if name != names.saved:
            return f"names the database {name!r}"
        if not is_own:
            return f"names {name!r}, though it was run in {statement.database or 'no database'!r}"
        if names.saved != names.restored:
            return f"names {name!r} itself, and so would not go to {names.restored!r}"
    return None


def _databases(text: bytes) -> Iterator[bytes]:
    """Yield, in lower case, what may be a database's name: what stands before a dot, or after the word DATABASE.

    With sql_mode ANSI_QUOTES names stand between double quotes; without it nothing between them has such a place.
    """
    words = [word for word in _TOKEN.findall(text) if not word.startswith(_NO_WORD)]
    for index, word in enumerate(words):
        before = words[index - 1] if index else b""
        after = words[index + 1] if index + 1 < len(words) else b""
        keywords = [
            each.upper() for each in words[max(0, index - 4) : index] if each.upper() not in (b"IF", b"NOT", b"EXISTS")
        ]
        if (after == b"." and before != b".") or (keywords and keywords[-1] in _BEFORE_A_NAME):
            quote = word[:1] if word[:1] in (b"`", b'"') else b""
            yield (word[1:-1].replace(2 * quote, quote) if quote else word).lower()


def _statements(way: Way) -> Iterator[tuple[Path, int, int, Statement]]:
    """Yield each statement on the way: its log, where its transaction begins, where it ends, and itself."""
    for index, path in enumerate(way.files):
        is_last = index == len(way.files) - 1
        with opened(path) as log:
            begun, is_mixed = 0, False
            for event in read_events(path.name, log):
                if is_last and way.stop is not None and event.position >= way.stop:
                    break
                if (index == 0 and event.position < way.start) or event.kind in HEADS:
                    continue
                if event.kind in BEGINNINGS:
                    begun, is_mixed = event.position, may_have_statements(event)
                if event.kind == PAYLOAD and is_mixed:
                    yield path, begun, event.end, Statement("", b"", is_hidden=True)
                if event.kind == XA_PREPARE:
                    yield path, begun, event.end, Statement("", b"XA PREPARE", is_prepared=True)
                statement = read_statement(event)
                if statement is not None:
                    yield path, begun, event.end, statement
