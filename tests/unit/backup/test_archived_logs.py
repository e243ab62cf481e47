"""Archived logs are verified with the restore points they go on from, and damage says which moments it costs."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from backup.archives.lines import Line, Start
from backup.archives.verify import ArchivedLogs
from backup.binlog.names import LogName, Piece
from backup.catalogue import Catalogue
from backup.model import Place
from backup.restoring.verify import Depth, verify
from backup.sampling import Sampling
from backup.saving.sealed_files import seal_of
from backup.settings.target import TargetSettings
from backup.targets.folder import FolderTarget
from backup.wal.names import WalObject, segment_at
from tests.unit.backup.test_catalogue import point

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from backup.model import RestorePoint
    from backup.restoring.verify import Report
    from backup.station.station import Station

PLACE = Place(host="web1", set="files")
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
SEGMENT = 1 << 20
LINE = "20261130T110000Z"


def minute(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def base(segment: int, minutes: float) -> RestorePoint:
    """Return a base backup that begins in a segment."""
    made = point(minute(minutes))
    lsn = f"0/{segment * SEGMENT + 40:X}"
    where = {"system_identifier": 7, "timeline": 1, "wal_segment_bytes": SEGMENT, "start_lsn": lsn, "stop_lsn": lsn}
    return replace(made, manifest=replace(made.manifest, source="postgresql-base", consistency=where))


def dump(log: int, minutes: float) -> RestorePoint:
    """Return a dump whose place is in a binary log."""
    made = point(minute(minutes))
    where = {
        "binlog_file": f"bin.{log:06d}",
        "binlog_position": 4,
        "taken_at": minute(minutes).isoformat(),
    }
    return replace(made, manifest=replace(made.manifest, source="mariadb", consistency=where))


class Copy:
    """A copy in a folder: `points` are its restore points, without volumes."""

    def __init__(self, folder: Path, points: Sequence[RestorePoint]) -> None:
        self.folder = folder
        self.target = FolderTarget(TargetSettings(name="store", kind="folder", folder=folder))
        self.points = tuple(points)
        self.looks = 0
        self.seen: Any = {}
        self.meanwhile: Callable[[], object] = lambda: None

    def catalogue(self) -> Catalogue:
        self.looks += 1
        if self.looks > 1:
            self.meanwhile()
        return Catalogue(points=self.points, refused=(), read_at=NOON)

    def verify(self, depth: Depth = Depth.READ, sampling: Sampling | None = None) -> Report:
        self.looks = 0
        settings = SimpleNamespace(marks=None, host="safe")
        station = SimpleNamespace(target=self.target, place=PLACE, settings=settings, catalogue=self.catalogue,
                                  chosen=SimpleNamespace(retention=None), ring=None)  # fmt: skip
        logs_of = partial(ArchivedLogs, seen=self.seen)
        return verify(cast("Station", station), depth, sampling=sampling, logs_of=logs_of)

    def told(self, depth: Depth = Depth.READ) -> list[tuple[str, str, Any]]:
        """Return of each damage the log's name, what is wrong, and the moments it costs."""
        found = self.verify(depth).damages
        return [(each.name.rpartition("/")[2].partition("-")[0], each.what, each.moments) for each in found]

    def wal(self, number: int | str, *, is_old: bool = False, timeline: int = 1) -> Path:
        """Archive a segment that was written `number` minutes after noon, or another file of WAL."""
        content = os.urandom(90)
        seal = None if is_old else seal_of(content)
        name = number if isinstance(number, str) else segment_at(number * SEGMENT, timeline, SEGMENT)
        at = NOON if isinstance(number, str) else minute(number)
        each = WalObject(wal=name, at=at, digest="0" * 16, seal=seal)
        return self._put(f"{PLACE.wal}/7/{each.folder}/{each.name}", content)

    def log(self, number: int, since: float, until: float, pieces: int = 1, line: str = LINE) -> list[Path]:
        made = []
        for piece in range(1, pieces + 1):
            content = os.urandom(90)
            each = Piece(log=LogName(base="bin", number=number), since=minute(since), until=minute(until), piece=piece,
                         pieces=pieces, digest="0" * 16, seal=seal_of(content))  # fmt: skip
            made.append(self._put(f"{PLACE.binlog}/{line}/{each.log.folder}/{each.name}", content))
        return made

    def _put(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)


def wal_name(number: int) -> str:
    return segment_at(number * SEGMENT, 1, SEGMENT)


def test_each_depth_finds_of_archived_wal_what_it_finds_of_volumes_and_says_which_moments_it_costs(
    tmp_path: Path,
) -> None:
    copy = Copy(tmp_path, [base(3, 3), base(7, 7)])
    paths = {number: copy.wal(number) for number in range(2, 10)}
    copy.wal("000000010000000000000003.00000028.backup")
    report = copy.verify()
    assert (report.damages, report.log_files, report.files_read, report.uncompared) == ((), 7, 7, 0)
    assert report.fresh_point is None

    flip(paths[2])  # no base backup needs it
    flip(paths[5])
    assert copy.told(Depth.STORED) == []
    changed = (wal_name(5), "its content is not what was sent (SHA-256 differs)", (minute(4), minute(7)))
    assert copy.told() == [changed]
    paths[8].write_bytes(b"torn")
    torn = (wal_name(8), "it has 4 bytes instead of 90", (minute(7), None))
    assert copy.told(Depth.STORED) == [torn]
    assert "next run on web1 makes a restore point" in str(copy.verify().fresh_point)
    paths[4].unlink()
    paths[5].unlink()
    assert copy.told() == [(f"{wal_name(4)} to {wal_name(5)}", "2 are missing", (minute(3), minute(7))), torn]
    assert copy.verify().lost == ()


def test_wal_that_was_never_archived_is_no_damage_and_what_has_to_have_been_is(tmp_path: Path) -> None:
    copy = Copy(tmp_path, [base(3, 3)])
    assert copy.verify().damages == ()  # nothing is archived yet
    later = [copy.wal(number) for number in (5, 6)]
    assert copy.told() == []  # archiving was turned on after the base backup
    label = copy.wal(f"{wal_name(3)}.00000028.backup")  # it was on: the label comes after the segment it names
    lost = [(f"{wal_name(3)} to {wal_name(4)}", "2 are missing", (minute(3), None))]
    assert copy.told() == lost
    label.unlink()
    earlier = copy.wal(2)
    assert copy.told() == lost
    for each in later:
        each.unlink()
    assert copy.told() == []  # what the base backup begins in is not archived yet
    earlier.unlink()


def test_what_is_archived_or_pruned_while_it_is_verified_is_no_damage(tmp_path: Path) -> None:
    copy = Copy(tmp_path, [base(3, 3), base(7, 7)])
    paths = {number: copy.wal(number) for number in range(3, 10)}
    paths[8].unlink()  # the folder it lies in was listed before it came
    copy.meanwhile = lambda: copy._put(str(paths[8].relative_to(tmp_path)), b"")
    assert copy.told(Depth.STORED) == []
    paths[4].unlink()  # by the pruner, who then goes on with the chain's others
    flip(paths[5])

    def prune() -> None:
        copy.points = copy.points[1:]

    copy.meanwhile = prune
    paths[8].unlink()
    copy.wal(8)
    assert copy.told() == []
    flip(paths[9])
    copy.meanwhile = lambda: copy.wal(11)  # and the folder of the one before it was listed before that came
    assert [name for name, *_ in copy.told()] == [wal_name(9)]


def test_a_log_that_goes_while_it_is_to_be_read_and_is_still_needed_is_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Copy(tmp_path, [base(3, 3)])
    paths = [copy.wal(number) for number in range(3, 6)]
    read = copy.target.read

    def reading(name: str) -> Iterator[bytes]:
        paths[1].unlink(missing_ok=True)
        return read(name)

    monkeypatch.setattr(copy.target, "read", reading)
    assert copy.told() == [(wal_name(4), "it is missing", (minute(3), None))]


def test_a_history_that_is_damaged_costs_every_moment_and_what_mends_it_is_said(tmp_path: Path) -> None:
    copy = Copy(tmp_path, [base(3, 3)])
    for number in (3, 4):
        copy.wal(number)
    copy.wal(4, timeline=2)
    flip(copy.wal("00000002.history"))
    ((name, what, moments),) = copy.told()
    assert (name, moments) == ("00000002.history", (minute(3), None))
    assert "`bkp wal put files …/pg_wal/00000002.history` on web1" in what
    assert copy.verify().fresh_point is None  # a run would not mend it
    copy.wal("00000002.history")  # put again beside it
    assert copy.told() == []


def test_what_was_archived_before_names_told_of_it_is_counted_and_is_no_damage_unless_it_is_empty(
    tmp_path: Path,
) -> None:
    copy = Copy(tmp_path, [base(3, 3)])
    copy.wal(3)
    old = copy.wal(4, is_old=True)
    report = copy.verify()
    assert (report.damages, report.uncompared, report.files_read) == ((), 1, 1)
    assert copy.verify(Depth.STORED).uncompared == 0
    old.write_bytes(b"")
    assert copy.told(Depth.STORED) == [(wal_name(4), "it is empty", (minute(3), None))]


def test_samples_read_every_archived_log_in_turn_and_what_was_damaged_each_time(tmp_path: Path) -> None:
    copy = Copy(tmp_path, [base(3, 3)])
    paths = [copy.wal(number) for number in range(3, 13)]
    flip(paths[6])
    sampling = Sampling(share=0.2, seed="s")
    found: list[str] = []
    for _ in range(5):
        report = copy.verify(sampling=sampling)
        assert report.files_read == 2
        found += [each.name for each in report.damages]
        sampling = replace(sampling, after=str(report.sampled_to))
    assert [name.rpartition("/")[2] for name in found] == [paths[6].name]
    again = copy.verify(sampling=replace(sampling, share=0.1, always=frozenset(found)))
    assert [each.name for each in again.damages] == found


def test_binary_logs_are_missed_within_their_line_only_and_not_while_they_are_put(tmp_path: Path) -> None:
    copy = Copy(tmp_path, [dump(3, 1), dump(6, 31), dump(1, 46)])
    logs = {number: copy.log(number, 10 * (number - 3), 10 * (number - 2)) for number in range(3, 8)}
    copy.log(1, 45, 50, line="20261130T124500Z")  # begun anew: the host has told of that gap
    copy.log(4, 60, 70, line="20261130T124500Z", pieces=2)[1].unlink()  # it is being put
    copy.log(2, 50, 60, line="20261130T124500Z")
    copy.log(3, 60, 70, line="20261130T124500Z")
    assert copy.verify().damages == ()
    flip(logs[7][0])
    (damage,) = copy.verify().damages
    assert damage.moments == (minute(40), minute(46))
    assert damage.name.endswith(f"/binlog/{LINE}/000000/{logs[7][0].name}")
    assert copy.verify().fresh_point is None  # the newest restore point is one from which any moment comes back
    logs[4][0].unlink()
    logs[5][0].unlink()
    names = [each[0] for each in copy.told()]
    assert names == ["bin.000004 to bin.000005", "bin.000007"]
    assert copy.told()[0][2] == (minute(10), minute(31))


def test_a_binary_log_of_which_a_piece_is_missing_costs_the_moments_after_the_one_before_it(tmp_path: Path) -> None:
    copy = Copy(tmp_path, [dump(3, 1)])
    copy.log(3, 0, 10)
    _, second, _ = copy.log(4, 10, 20, pieces=3)
    copy.log(5, 20, 30)
    assert copy.verify().log_files == 5
    second.unlink()
    assert copy.told(Depth.STORED) == [("bin.000004", "piece 2 of 3 is missing", (minute(10), None))]
    copy.meanwhile = lambda: copy.log(4, 10, 20, pieces=3)  # a list lagged
    assert copy.told(Depth.STORED) == []


def test_logs_that_no_restore_point_needs_are_not_looked_at(tmp_path: Path) -> None:
    copy = Copy(tmp_path, [dump(7, 200)])
    copy.log(3, 0, 10)
    flip(copy.log(5, 20, 30)[0])
    copy.log(6, 30, 190)
    copy.log(7, 190, 210)
    assert (copy.verify().damages, copy.verify().log_files) == ((), 2)


def test_the_first_and_the_last_log_of_a_line_are_missed_when_an_earlier_look_saw_them_until_nothing_needs_them(
    tmp_path: Path,
) -> None:
    copy = Copy(tmp_path, [base(3, 3), dump(3, 1)])
    paths = {number: copy.wal(number) for number in range(3, 7)}
    logs = {number: copy.log(number, 10 * (number - 3), 10 * (number - 2))[0] for number in range(3, 7)}
    copy.seen = copy.verify().seen_logs
    assert copy.told() == []
    for each in (paths[3], paths[6], logs[3], logs[6]):
        each.unlink()
    lost = [
        (wal_name(3), "it is missing", (minute(3), None)),
        (wal_name(6), "it is missing", (minute(5), None)),
        ("bin.000003", "it is missing", (minute(1), None)),
        ("bin.000006", "it is missing", (minute(30), None)),
    ]
    assert copy.told() == lost
    copy.seen = copy.verify().seen_logs  # it is not forgotten by having been told
    assert copy.told() == lost
    for each in (*paths.values(), *logs.values()):
        each.unlink(missing_ok=True)
    assert [name for name, *_ in copy.told()] == [f"{wal_name(3)} to {wal_name(6)}", "bin.000003 to bin.000006"]
    copy.points = (base(9, 190), dump(9, 190))
    assert (copy.told(), copy.verify().seen_logs) == ([], {})


@pytest.mark.parametrize(
    ("points", "names"), [([point(NOON)], []), ([base(3, 3)], [PLACE.wal]), ([dump(3, 3)], [PLACE.binlog])]
)
def test_a_set_whose_points_have_no_place_in_logs_costs_no_request_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, points: list[RestorePoint], names: list[str]
) -> None:
    copy = Copy(tmp_path, points)
    asked: list[str] = []
    folders = copy.target.folders

    def asking(folder: str) -> list[str]:
        asked.append(folder)
        return folders(folder)

    monkeypatch.setattr(copy.target, "folders", asking)
    copy.verify(Depth.STORED)
    assert [each for each in asked if "/chains" not in each] == [each.replace("/wal", "/wal/7") for each in names]


def test_a_number_from_a_strangers_file_is_one_gap_and_takes_no_time() -> None:
    line = Line(root="", entries=(), starts=(Start(number=3, at=NOON),), known=(3, 1 << 60), name_of=str)
    assert list(line.missing()) == [range(3, (1 << 60) + 1)]
    assert line.cost(3, 1 << 60) == (NOON, None)
