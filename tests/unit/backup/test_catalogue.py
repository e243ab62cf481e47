"""Which restore point is the newest, and what a clock that was ahead does not change of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from backup.binlog.recovery import point_over
from backup.catalogue import Catalogue
from backup.errors import NoRestorePoint, PointRefused
from backup.model import Counts, Kind, Manifest, RestorePoint, instant_name
from backup.saving.known_points import vanished_points
from backup.wal.choice import Until
from backup.when import understand

NOW = datetime(2026, 11, 21, 4, tzinfo=UTC)


def point(at: datetime) -> RestorePoint:
    manifest = Manifest(
        host="web1", set="files", due_at=at, at=at, finished_at=at, kind=Kind.FULL, reason="", chain=instant_name(at),
        position=0, previous=None, source="paths", volumes=(), recipients=(), signer="",
        counts=Counts(entries=1, bytes=1, changed_bytes=1),
    )  # fmt: skip
    return RestorePoint(manifest=manifest)


OLD, GOOD, SOON, AHEAD = (point(NOW + timedelta(minutes=each)) for each in (-99, -9, 9, 600_000))
CATALOGUE = Catalogue(points=(OLD, GOOD, AHEAD), refused=(), read_at=NOW)


def test_a_point_of_a_time_to_come_is_not_the_newest_and_which_is_has_to_be_said() -> None:
    assert CATALOGUE.newest() == GOOD
    assert CATALOGUE.newest_chain == GOOD.manifest.chain
    with pytest.raises(PointRefused) as refused:
        CATALOGUE.chosen()
    for each in (AHEAD, GOOD):
        assert f"--at {instant_name(each.at)}" in str(refused.value)
        assert CATALOGUE.chosen(understand(instant_name(each.at), NOW)) == each
    assert CATALOGUE.chosen(understand("now", NOW)) == GOOD
    assert CATALOGUE.without_to_come().chosen() == GOOD


def test_a_clock_that_is_a_little_ahead_or_a_readers_that_is_behind_refuse_nothing() -> None:
    assert replace(CATALOGUE, points=(OLD, GOOD, SOON)).chosen() == SOON
    assert replace(CATALOGUE, read_at=NOW - timedelta(days=1)).chosen() == AHEAD
    assert replace(CATALOGUE, points=(AHEAD,)).without_to_come().chosen() == AHEAD


def test_what_vanishes_of_the_newest_chain_is_told_though_a_chain_of_a_time_to_come_is_there() -> None:
    known = {each.manifest.chain: each.manifest.chain for each in (OLD, GOOD, AHEAD)}
    assert vanished_points(known, replace(CATALOGUE, points=(OLD, AHEAD))) == {GOOD.manifest.chain: GOOD.manifest.chain}


def test_a_copy_of_a_server_that_was_not_over_at_the_moment_asked_for_is_passed_over() -> None:
    def copied(of: RestorePoint, minutes: int) -> RestorePoint:
        place = {
            "binlog_file": "bin.000001",
            "binlog_position": 4,
            "taken_at": (of.at + timedelta(minutes=minutes)).isoformat(),
        }
        return RestorePoint(manifest=replace(of.manifest, source="mariadb-base", consistency=place))

    before, last = copied(OLD, 5), copied(GOOD, 40)
    catalogue = Catalogue(points=(before, last), refused=(), read_at=NOW)
    assert point_over(catalogue, last, Until(at=GOOD.at + timedelta(minutes=20))) == before
    assert point_over(catalogue, last, Until(at=GOOD.at + timedelta(minutes=40))) == last
    assert point_over(catalogue, last, Until(at=GOOD.at)) == last  # by its name
    assert point_over(catalogue, last, Until()) == last
    with pytest.raises(NoRestorePoint, match=f"--at {instant_name(OLD.at)} takes it"):
        point_over(catalogue, before, Until(at=OLD.at + timedelta(minutes=1)))
