"""Fetches the binary logs that bring a restored dump or server to a moment, and finds where exactly they end."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from backup.binlog.archive import BinlogArchive
from backup.binlog.choice import choose, read_start
from backup.binlog.log_file import find_stop, gtids_at, look_through
from backup.errors import BackupDamaged, DestinationInUse, NoRestorePoint
from backup.model import instant_name
from backup.notes.marks import reading
from backup.sources.mysql.mariadb_base import KIND as SERVER_KIND
from backup.station.copies import at_any_copy
from backup.when import local

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from backup.binlog.choice import Choice, Start
    from backup.binlog.log_file import Facts, Stop
    from backup.binlog.names import ArchivedLog
    from backup.catalogue import Catalogue
    from backup.model import Manifest, RestorePoint
    from backup.station.station import Station
    from backup.wal.choice import Until

LOG_FOLDER: Final = "binary-logs"
_MYSQL: Final = "mysql"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """The logs from a restore point to a moment, as files in order.

    start: where in the first replaying begins. stop: where in the last it ends; None: with it. reaches: up to when the
    archive has everything. last_at, last_gtid, last_end: of the last transaction; None where there is none.
    """

    files: tuple[Path, ...]
    start: int
    stop: int | None
    reaches: datetime
    last_at: datetime | None
    last_gtid: str | None
    last_end: int | None


def is_logged(point: RestorePoint, until: Until, *, is_loading: bool, is_whole: bool) -> bool:
    """Whether binary logs bring what is restored of a point from its own moment to the one that is asked for.

    is_loading: a dump is loaded into a database, whole. is_whole: all of the point is restored, not one path of it.
    """
    if until.at is None or until.at <= point.at or read_start(point.manifest.consistency) is None:
        return False
    return is_whole if point.manifest.source == SERVER_KIND else is_loading


def point_over(catalogue: Catalogue, point: RestorePoint, until: Until) -> RestorePoint:
    """Return a point; of a copied server, whose copy is of the moment it ended, the newest that was over by `until`.

    A later one would bring what was done after the moment that is asked for. A point's own name means that point.
    Raises NoRestorePoint.
    """
    if until.at is None or until.at <= point.at or point.manifest.source != SERVER_KIND:
        return point
    for each in reversed(catalogue.whole):
        start = read_start(each.manifest.consistency)
        if each.at <= point.at and (start is None or start.taken_at <= until.at):
            return each
    raise NoRestorePoint(
        f"the first copy, of {local(point.at)}, was not over then, and is as of its end: --at {instant_name(point.at)}"
        " takes it all the same"
    )


def choose_logs(station: Station, manifest: Manifest, at: datetime | None) -> Choice | None:
    """Return which archived logs bring a restore point to `at`; None when it has no place in any, or none is archived.

    Raises ObjectMissing naming a gap.
    """
    start = read_start(manifest.consistency)
    archived = BinlogArchive(station.target, station.place, station.ring).logs() if start is not None else []
    return None if start is None or not archived else choose(start, archived, at)


def bring_logs(
    station: Station,
    manifest: Manifest,
    restored: Path,
    at: datetime | None,
    on_log: Callable[[int, int], None] = lambda done, wanted: None,  # noqa: ARG005 - nobody listens
) -> Way | None:
    """Fetch the logs into a folder beside what was restored, compare them, and say from where to where they go.

    None: nothing later is archived. `on_log` hears how many of how many are there. Raises ObjectMissing (a gap),
    BackupDamaged naming the log, DestinationInUse, and what keys and target raise.
    """
    start = read_start(manifest.consistency)
    if start is None:
        return None
    folder = restored / LOG_FOLDER

    def attempt(there: Station) -> Way | None:
        shutil.rmtree(folder, ignore_errors=True)
        choice = choose_logs(there, manifest, at)
        if choice is None or choice.reaches is None:
            return None
        folder.mkdir(mode=0o700)
        archive = BinlogArchive(there.target, there.place, there.ring)
        files = []
        for done, each in enumerate(choice.logs, 1):
            files.append(archive.fetch(each, folder))
            on_log(done, len(choice.logs))
        _demand_following(start, choice.logs, files, has_gtids=manifest.source != _MYSQL)
        return _way(start, choice, files, at)

    try:
        with reading(station, [manifest], "restored"):
            return at_any_copy(station, "fetching binary logs", attempt)
    except OSError as error:
        raise DestinationInUse(f"{error.filename or folder} cannot be written: {error.strerror}") from error


def _demand_following(start: Start, logs: Sequence[ArchivedLog], files: Sequence[Path], *, has_gtids: bool) -> None:
    """Look through every log, and whether each goes on where the one before ends. Raises BackupDamaged."""
    before: Facts | None = None
    for each, path in zip(logs, files, strict=True):
        facts = look_through(path)
        if before is not None:
            says = before.next_log is None or before.next_log == str(each.log)
            if not says or facts.gtids_before != before.gtids_after:  # times say nothing: clocks are set back
                raise BackupDamaged(f"{each.log} of the archive does not go on where the log before it ends")
        before = facts
    if has_gtids and start.gtid:
        found = gtids_at(files[0], start.position)
        if not is_place(found, start.gtid):
            raise BackupDamaged(
                f"{start.log} of the archive has {found or 'no transactions'} at position {start.position}, the restore"
                f" point {start.gtid}: it is the log of another server"
            )


def is_place(found: str, told: str) -> bool:
    """Whether the transactions a log has at a place are those of a restore point's record.

    mariadb-backup tells gtid_current_pos: also domains of what was replicated once, and is in no log of this server.
    """
    return set(found.split(",")) <= set(told.split(","))


def _way(start: Start, choice: Choice, files: Sequence[Path], at: datetime | None) -> Way | None:
    wanted: list[Path] = []
    last: Stop | None = None
    stop: Stop | None = None
    for index, path in enumerate(files):
        stop = find_stop(path, start.position if index == 0 else 0, at)
        wanted.append(path)
        last = stop if stop.last_end is not None else last
        if stop.position is not None:
            break
    if choice.reaches is None:
        return None
    return Way(
        files=tuple(wanted),
        start=start.position,
        stop=None if stop is None else stop.position,
        reaches=choice.reaches,
        last_at=None if last is None else last.last_at,
        last_gtid=None if last is None else last.last_gtid,
        last_end=None if last is None else last.last_end,
    )
