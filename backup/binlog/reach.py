"""What of a set's binary logs is archived: from when to when in each line, and which logs are missing in between."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby, islice
from typing import TYPE_CHECKING, Final

from backup.binlog.archive import BinlogArchive
from backup.binlog.choice import reach_from, read_start
from backup.binlog.names import LogName

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from backup.binlog.names import ArchivedLog
    from backup.catalogue import Catalogue
    from backup.station.station import Station

_MOST_MISSING: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """One unbroken line. since, until: when its first log was begun and its last one's last event was (aware UTC)."""

    line: str
    first: LogName
    last: LogName
    logs: int
    size_bytes: int
    since: datetime
    until: datetime
    missing: tuple[str, ...]


def reaches_of(station: Station) -> list[Reach]:
    """Return the reach of each line of the set, oldest first."""
    archive = BinlogArchive(station.target, station.place, station.ring)
    return [reach_of(list(logs)) for _, logs in groupby(archive.logs(), key=lambda each: each.line)]


def spans_of(station: Station, catalogue: Catalogue) -> list[tuple[datetime, datetime]]:
    """Return from when to when any moment can be restored, oldest first: each span from a restore point on."""
    starts = [
        (max(point.at, start.taken_at), start)
        for point in catalogue.whole
        if (start := read_start(point.manifest.consistency))
    ]
    archived = BinlogArchive(station.target, station.place, station.ring).logs() if starts else []
    found: list[tuple[datetime, datetime]] = []
    for at, start in starts if archived else []:
        until = reach_from(start, archived)
        if until is None or until <= at:
            continue
        if found and found[-1][1] >= until:
            continue  # an earlier point goes as far
        since = found.pop()[0] if found and found[-1][1] >= at else at
        found.append((since, until))
    return found


def reach_of(logs: Sequence[ArchivedLog]) -> Reach:
    """Return the reach of one line's logs, of which there is at least one. At most 100 missing ones are named."""
    numbers = {each.log.number for each in logs}
    first, last = logs[0], logs[-1]
    between = (number for number in range(first.log.number, last.log.number) if number not in numbers)
    missing = [str(LogName(base=last.log.base, number=number)) for number in islice(between, _MOST_MISSING)]
    return Reach(
        line=first.line,
        first=first.log,
        last=last.log,
        logs=len(logs),
        size_bytes=sum(each.size_bytes for each in logs),
        since=first.since,
        until=last.until,
        missing=tuple(missing),
    )
