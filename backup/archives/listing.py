"""Lists what is archived of a set's WAL and binary logs, as far as restore points need it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

from backup.archives.lines import Entry, Line, LogFile, Start
from backup.binlog.archive import PIECE_BYTES, BinlogArchive
from backup.binlog.choice import CLOCKS, ends_of, read_start
from backup.binlog.names import read_log_name, whole_logs
from backup.binlog.outdated import needed_since
from backup.errors import NotInBackup
from backup.targets.small import parse_instant
from backup.wal.archive import MOST_BYTES, WalArchive, fits
from backup.wal.names import is_history, is_label, is_segment, number_of, segment_at, timeline_of
from backup.wal.recovery import KIND, base_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backup.binlog.choice import Start as LogStart
    from backup.binlog.names import LogName, Piece
    from backup.model import RestorePoint
    from backup.station.station import Station
    from backup.wal.choice import Base
    from backup.wal.names import WalObject

Seen = Mapping[str, Mapping[str, str]]
_EVER: Final = datetime(1970, 1, 2, tzinfo=UTC)


def lines_of(station: Station, points: Sequence[RestorePoint], seen: Seen) -> list[Line]:
    """Return the lines that lead on from points; asks the target only where points can have any.

    seen: what `Line.remembered` said at an earlier look, by the lines' roots. Raises what the target raises.
    """
    whole = [point for point in points if point.broken is None]
    return [*_wal_lines(station, whole, seen), *_binlog_lines(station, whole, seen)]


def _times(names: Mapping[str, str]) -> dict[str, datetime]:
    """Return until when logs go, by their names; a state file may hold anything."""
    found = {}
    for name, until in names.items():
        with suppress(ValueError):
            found[name] = parse_instant(until)
    return found


def _wal_lines(station: Station, points: Sequence[RestorePoint], seen: Seen) -> list[Line]:
    clusters: dict[int, list[tuple[Base, datetime]]] = defaultdict(list)
    for point in points:
        if point.manifest.source == KIND:
            with suppress(NotInBackup):  # a restore says what is wrong with its record
                base = base_of(point.manifest)
                clusters[base.system_identifier].append((base, point.at))
    found = []
    for system, bases in clusters.items():
        oldest = min((base for base, _ in bases), key=lambda each: each.start_lsn)
        archive = WalArchive(station.target, station.place, station.ring, system)
        root = f"{station.place.wal}/{system}"
        line = _wal_line(archive, archive.objects(oldest.first), oldest, root, _times(seen.get(root, {})))
        if line is not None:
            starts = (Start(number=base.start_lsn // base.segment_bytes, at=at) for base, at in bases)
            found.append(replace(line, starts=tuple(starts)))
    return found


def _wal_line(
    archive: WalArchive, objects: Sequence[WalObject], oldest: Base, root: str, seen: Mapping[str, datetime]
) -> Line | None:
    first = oldest.start_lsn // oldest.segment_bytes
    files: dict[tuple[str, str], list[WalObject]] = defaultdict(list)
    before = {number_of(name, oldest.segment_bytes): until for name, until in seen.items() if is_segment(name)}
    numbers = set(before)
    for each in objects:
        if is_history(each.wal):
            files[each.wal, each.digest].append(each)
        elif timeline_of(each.wal) >= oldest.timeline and (each.is_segment or is_label(each.wal)):
            # A base backup's label is archived after the segment it begins in: that one was there, too.
            numbers.add(oldest.number(each))
            if each.is_segment and oldest.number(each) >= first:
                files[each.wal, each.digest].append(each)
    if not numbers or not (files or before):
        return None
    known = {number for number in numbers if number >= first}
    if known and min(numbers) < first:  # archiving was on before the oldest base backup: all of it was archived
        known.add(first)
    entries = [
        Entry(
            name=wal,
            number=None if is_history(wal) else number_of(wal, oldest.segment_bytes),
            until=max(each.at for each in same),
            pieces=(tuple(_file(archive.path(each), each) for each in same),),
            digest=digest,
            limit_bytes=MOST_BYTES + 1,
            fits=partial(fits, wal, system_identifier=archive.system_identifier),
        )
        for (wal, digest), same in sorted(files.items())
    ]
    last = max((timeline_of(each.name) for each in entries if each.number is not None), default=oldest.timeline)
    return Line(
        root=root,
        entries=tuple(entries),
        starts=(),
        known=sorted(known),
        seen={number: until for number, until in before.items() if number >= first},
        name_of=lambda number: segment_at(number * oldest.segment_bytes, last, oldest.segment_bytes),
    )


def _binlog_lines(station: Station, points: Sequence[RestorePoint], seen: Seen) -> list[Line]:
    starts = [
        (start, max(point.at, start.taken_at))
        for point in points
        if (start := read_start(point.manifest.consistency)) is not None
    ]
    if not starts:
        return []
    since = needed_since([start for start, _ in starts])
    archive = BinlogArchive(station.target, station.place, station.ring)
    gone = {root.rpartition("/")[2] for root in seen if root.startswith(f"{station.place.binlog}/")}
    found = []
    for line in sorted(gone.union(archive.lines())):
        root = f"{station.place.binlog}/{line}"
        before = {
            log: until
            for name, until in _times(seen.get(root, {})).items()
            if (log := read_log_name(name)) is not None and until >= since
        }
        found.append(_binlog_line(root, archive.pieces(line), since, before, starts))
    return [each for each in found if each is not None]


def _binlog_line(
    root: str,
    pieces: Mapping[str, Piece],
    since: datetime,
    seen: Mapping[LogName, datetime],
    starts: Sequence[tuple[LogStart, datetime]],
) -> Line | None:
    line = root.rpartition("/")[2]
    ends = ends_of(whole_logs(line, list(pieces.values())))
    newest = max((each.log.number for each in pieces.values()), default=0)
    logs: dict[tuple[LogName, str], dict[str, Piece]] = defaultdict(dict)
    for name, piece in pieces.items():
        if max(piece.until, ends.get((line, piece.log), piece.until)) >= since:
            logs[piece.log, piece.digest][name] = piece
    entries: list[Entry] = []
    begun: list[datetime] = []
    for (log, digest), files in logs.items():
        one = next(iter(files.values()))
        parts = tuple(
            tuple(_file(name, each) for name, each in files.items() if each.piece == number)
            for number in range(1, one.pieces + 1)
        )
        if log.number == newest and not all(parts):
            continue  # it is being put, or was cut off and is not archived yet
        begun.append(one.since)
        entries.append(
            Entry(
                name=str(log), number=log.number, until=one.until, pieces=parts, digest=digest,
                limit_bytes=PIECE_BYTES + 1,
            )
        )  # fmt: skip
    if not entries and not seen:
        return None
    entries.sort(key=lambda each: (each.number or 0, each.name))
    there = {each.number for each in entries if each.number is not None}
    numbers = sorted(there.union(log.number for log in seen))
    last_log = max([*(log for log, _ in logs), *seen], key=lambda each: each.number)
    is_begin_there = numbers[0] in there
    times = min(begun) if is_begin_there else _EVER, max([*seen.values(), *(each.until for each in entries)])
    return Line(
        root=root,
        entries=tuple(entries),
        starts=tuple(
            Start(number=place, at=at)
            for start, at in starts
            if (place := _place(start, last_log, numbers, times)) is not None
        ),
        name_of=lambda number: str(replace(last_log, number=number)),
        seen={log.number: until for log, until in seen.items()},
    )


def _place(start: LogStart, last: LogName, numbers: Sequence[int], times: tuple[datetime, datetime]) -> int | None:
    """Return the number of the log in a line that a restore point goes on in: one above all when it is newer.

    None when it is older. Numbers begin anew with another line, so a number counts only in the line's own time.
    """
    begun, ended = times
    is_of_line = start.log.base == last.base and numbers[0] <= start.log.number <= numbers[-1]
    if is_of_line and begun - CLOCKS <= start.taken_at <= ended + CLOCKS:
        return start.log.number
    return numbers[-1] + 1 if start.taken_at >= begun else None


def _file(name: str, each: WalObject | Piece) -> LogFile:
    return LogFile(name=name, size_bytes=each.size_bytes, seal=each.seal)
