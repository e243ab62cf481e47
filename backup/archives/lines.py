"""Archived logs as they have to follow each other: which are missing, and which moments a missing one costs. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from backup.saving.sealed_files import Seal


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFile:
    """A file as it was listed at the target. name: its whole one. seal: None where its name does not tell it yet."""

    name: str
    size_bytes: int
    seal: Seal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One log of a line, which is no file alone: it may lie in pieces.

    name: as its server calls it. number: its place in the line; None: every moment needs it. until: up to when a
    restore comes that has it and those before it. pieces: of each the files that have it, several where it was put
    again, none where it is missing. digest: the first 16 hex digits of the SHA-256 of its content. fits: whether its
    content agrees with its name. limit_bytes: how much content a piece has at most.
    """

    name: str
    number: int | None
    until: datetime
    pieces: tuple[tuple[LogFile, ...], ...]
    digest: str
    limit_bytes: int
    fits: Callable[[bytes], bool] = lambda content: True  # noqa: ARG005 - what names say cannot be seen in each log


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """The log a restore point goes on in, by its number, and the moment the point itself is as of."""

    number: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Logs of one server that follow each other without a gap, as far as restore points need them.

    root: their folder at the target. name_of: what the log of a number is called. known: numbers of further logs that
    were archived, as far as what lies there tells. seen: those that an earlier look saw, and until when they go.
    """

    root: str
    entries: tuple[Entry, ...]
    starts: tuple[Start, ...]
    name_of: Callable[[int], str]
    known: Sequence[int] = ()
    seen: Mapping[int, datetime] = field(default_factory=dict)

    def remembered(self) -> dict[str, str]:
        """Return the first and the last log, by name, and until when they go (ISO 8601), for the next look.

        No other tells that these two were there.
        """
        times = dict(self.seen)
        times |= {each.number: each.until for each in self.entries if each.number is not None}
        ends = sorted({min(times), max(times)}) if times else []
        return {self.name_of(number): times[number].isoformat() for number in ends}

    def missing(self) -> Iterator[range]:
        """Yield the numbers that are missing before the last one that is known, in runs, ascending."""
        there = sorted({each.number for each in self.entries if each.number is not None})
        known = {*self.known, *self.seen, *there}
        before = min(known, default=0) - 1
        for number in there:
            if number > before + 1:
                yield range(before + 1, number)
            before = number
        last = max(known, default=before)
        if last > before:
            yield range(before + 1, last + 1)

    def cost(self, first: int | None, last: int | None) -> tuple[datetime, datetime | None] | None:
        """Return from when to when no moment can be restored without the logs from `first` to `last`; None: none.

        Without an end where no restore point goes on after them.
        """
        if first is None or last is None:
            return (min(each.at for each in self.starts), None) if self.starts else None
        needing = [each.at for each in self.starts if each.number <= last]
        if not needing:
            return None
        before = [each.until for each in self.entries if each.number is not None and each.number < first]
        since = max([min(needing), *before])
        until = min((each.at for each in self.starts if each.number > last), default=None)
        return None if until is not None and until <= since else (since, until)
