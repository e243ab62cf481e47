"""Which archived binary logs bring a restore point to a moment, and whether all of them are there: pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from backup.binlog.names import read_log_name
from backup.errors import ObjectMissing
from backup.when import local

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from backup.binlog.names import ArchivedLog, LogName

CLOCKS: Final = timedelta(minutes=10)
"""How far the clocks of a server and of the host that saves it may be apart, where a log is known by its time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A restore point's place in the binary log. gtid: as its server told it; empty where it told none."""

    log: LogName
    position: int
    taken_at: datetime
    gtid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What to fetch, in order; none where nothing later is archived. reaches: up to when the archive has everything."""

    logs: tuple[ArchivedLog, ...]
    reaches: datetime | None


def read_start(consistency: Mapping[str, Any]) -> Start | None:
    """Return the place a restore point's record names; None when it names none."""
    log, position = read_log_name(str(consistency.get("binlog_file"))), consistency.get("binlog_position")
    try:
        taken_at = datetime.fromisoformat(str(consistency.get("taken_at")))
    except ValueError:
        return None
    if log is None or not isinstance(position, int) or taken_at.tzinfo is None:
        return None
    return Start(log=log, position=position, taken_at=taken_at, gtid=str(consistency.get("gtid") or ""))


def choose(start: Start, archived: Sequence[ArchivedLog], at: datetime | None) -> Choice:
    """Choose from the archive's logs what goes from `start` to `at`, or with None as far as there are any.

    Raises ObjectMissing when a log on the way is not there, naming it and the moment that can still be reached.
    """
    found = _unbroken(start, archived)
    if not found:
        _demand_none_after(start, archived, at)
        return Choice(logs=(), reaches=None)
    last = found[-1]
    beyond = [
        each for each in archived if each.since >= last.until and each not in found and (at is None or each.since < at)
    ]
    if beyond and (at is None or at > last.until):
        raise ObjectMissing(
            f"the binary log {last.log.next} is missing in the archive, which goes on with {beyond[0].log} of"
            f" {local(beyond[0].since)}; what can be reached: --at {last.until.isoformat()} or earlier"
        )
    # None in between is left out: a clock that was ahead for a while began a log later than the one after it.
    ends = [index for index, each in enumerate(found) if at is None or each.since < at]
    return Choice(logs=tuple(found[: max(ends, default=0) + 1]), reaches=last.until)


def reach_from(start: Start, archived: Sequence[ArchivedLog]) -> datetime | None:
    """Return up to when the logs go on from `start` without a gap; None where they do not begin."""
    found = _unbroken(start, archived)
    return found[-1].until if found else None


def _unbroken(start: Start, archived: Sequence[ArchivedLog]) -> list[ArchivedLog]:
    """Return the logs from `start` on that follow each other, as far as they do."""
    ends = ends_of(archived)
    apart = {each: _apart(start, each, ends[each.line, each.log]) for each in archived if each.log == start.log}
    there = [each for each in apart if apart[each] <= CLOCKS]
    if not there:
        return []
    found = [min(there, key=lambda each: (apart[each], each.line))]
    while (following := _next(found[-1], archived)) is not None:
        found.append(following)
    return found


def ends_of(archived: Iterable[ArchivedLog]) -> dict[tuple[str, LogName], datetime]:
    """Return by line and name up to when a restore point can have its place in a log: until the next one was begun.

    What a server that was killed wrote last may be long before that: an idle one writes nothing.
    """
    logs = {(each.line, each.log): each for each in archived}
    return {
        (line, log): each.until if (after := logs.get((line, log.next))) is None else max(each.until, after.since)
        for (line, log), each in logs.items()
    }


def _apart(start: Start, each: ArchivedLog, end: datetime) -> timedelta:
    """Return how far a restore point's moment is from the time in which a log was written; zero within it."""
    until = end + timedelta(seconds=1)  # whose last second began then
    return max(each.since - start.taken_at, start.taken_at - until, timedelta(0))


def _next(last: ArchivedLog, archived: Sequence[ArchivedLog]) -> ArchivedLog | None:
    """Return the log that comes after one: in its line, or in another one that has the very same log, too."""
    lines = {last.line} | {
        each.line for each in archived if each.log == last.log and each.pieces[0].digest == last.pieces[0].digest
    }
    found = [each for each in archived if each.line in lines and each.log == last.log.next]
    return max(found, key=lambda each: each.line, default=None)


def _demand_none_after(start: Start, archived: Sequence[ArchivedLog], at: datetime | None) -> None:
    later = [each for each in archived if each.since > start.taken_at + CLOCKS or each.log.number > start.log.number]
    later = [each for each in later if each.until >= start.taken_at and (at is None or each.since < at)]
    if later:
        raise ObjectMissing(
            f"the binary log {start.log}, where this restore point is, is missing in the archive, which has"
            f" {later[0].log} of {local(later[0].since)}; what can be reached: the restore point alone, by its own time"
        )
