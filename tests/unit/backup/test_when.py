"""Instants as people say them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from backup.choice import choose_point
from backup.errors import NoRestorePoint, PointAmbiguous
from backup.model import Counts, Kind, Manifest, RestorePoint
from backup.when import local, read_ahead, read_when, understand, understand_past

NOW = datetime(2026, 11, 21, 9, 30, 15, tzinfo=UTC)  # a Saturday
BERLIN = timezone(timedelta(hours=1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", "2026-11-21T09:30:15Z"),
        ("yesterday 18:00", "2026-11-20T17:00:00Z"),
        ("Yesterday at 18:00", "2026-11-20T17:00:00Z"),
        ("yesterday", "2026-11-20T22:59:59Z"),
        ("today 08:15:30", "2026-11-21T07:15:30Z"),
        ("08:15", "2026-11-21T07:15:00Z"),
        ("3 hours ago", "2026-11-21T06:30:15Z"),
        ("an hour ago", "2026-11-21T08:30:15Z"),
        ("2 weeks ago", "2026-11-07T09:30:15Z"),
        ("friday 08:00", "2026-11-20T07:00:00Z"),
        ("last saturday", "2026-11-14T22:59:59Z"),
        ("2026-11-20", "2026-11-20T22:59:59Z"),
        ("2026-11-20 18:00", "2026-11-20T17:00:00Z"),
        ("2026-11-20T18:00:00Z", "2026-11-20T18:00:00Z"),
        ("2026-11-20T18:00:00+05:00", "2026-11-20T13:00:00Z"),
        ("20261120T180000Z", "2026-11-20T18:00:00Z"),
    ],
)
def test_an_instant_is_understood_as_people_say_it(text: str, expected: str) -> None:
    assert read_when(text, NOW, BERLIN) == datetime.fromisoformat(expected)


@pytest.mark.parametrize(
    "text", ["", "soon", "yesterday noon", "25:00", "2026-13-01", "hours ago", "99999999 days ago"]
)
def test_what_cannot_be_understood_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="yesterday 18:00"):
        read_when(text, NOW, BERLIN)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tomorrow", "2026-11-22T22:59:59Z"),
        ("in 30 days", "2026-12-21T22:59:59Z"),
        ("In a week", "2026-11-28T22:59:59Z"),
        ("in 3 months", "2027-02-21T22:59:59Z"),
        ("in 2 years", "2028-11-21T22:59:59Z"),
        ("2027-06-30", "2027-06-30T22:59:59Z"),
        ("2027-06-30T12:00:00Z", "2027-06-30T12:00:00Z"),
    ],
)
def test_an_end_is_understood_as_people_say_it(text: str, expected: str) -> None:
    assert read_ahead(text, NOW, BERLIN) == datetime.fromisoformat(expected)


def test_a_month_without_that_day_ends_with_its_last_one_and_what_is_no_end_is_refused() -> None:
    assert read_ahead("in a month", datetime(2027, 1, 31, 9, tzinfo=UTC), UTC).day == 28
    for text in ("in 9999 years", "soon", "in some days"):
        with pytest.raises(ValueError, match="in 30 days"):
            read_ahead(text, NOW, BERLIN)


def test_without_a_zone_this_machines_is_meant() -> None:
    here = datetime(2026, 11, 20, 18, 0).astimezone()
    assert read_when("2026-11-20 18:00", NOW) == here
    assert read_when("yesterday 18:00", datetime(2026, 11, 21, 12, 0).astimezone()) == here


def _points(*times: str) -> list[RestorePoint]:
    return [
        RestorePoint(
            manifest=Manifest(
                host="web1", set="files", due_at=NOW, at=datetime.fromisoformat(time), finished_at=NOW, kind=Kind.FULL,
                reason="", chain="20261101T000000Z", position=0, previous=None, source="paths", volumes=(),
                recipients=(), signer="", counts=Counts(entries=1, bytes=1, changed_bytes=1),
            )
        )
        for time in times
    ]  # fmt: skip


def _chosen(text: str, *times: str, zone: ZoneInfo | timezone = BERLIN) -> str:
    return choose_point(_points(*times), understand(text, NOW, zone)).at.isoformat()


def test_a_time_to_the_minute_means_the_point_of_that_minute_and_else_the_one_before() -> None:
    times = ("2026-11-20T17:00:30+00:00", "2026-11-20T18:00:30+00:00")
    for text in ("2026-11-20 19:00", "yesterday 19:00", "2026-11-20T18:00Z"):
        assert _chosen(text, *times) == times[1]
    for text in ("2026-11-20 19:00:00", "2026-11-20T18:00:00Z", "2026-11-20 18:59"):
        assert _chosen(text, *times) == times[0]


def test_a_minute_that_has_two_points_is_refused_naming_both() -> None:
    with pytest.raises(PointAmbiguous, match=r"20261120T180001Z.*20261120T180059Z"):
        _chosen("yesterday 19:00", "2026-11-20T18:00:01+00:00", "2026-11-20T18:00:59+00:00")


def test_an_hour_that_is_had_twice_is_refused_only_when_it_makes_a_difference() -> None:
    zone = ZoneInfo("Europe/Berlin")
    with pytest.raises(PointAmbiguous, match="twice"):
        _chosen("2026-10-25 02:30", "2026-10-25T00:00:00+00:00", "2026-10-25T01:00:00+00:00", zone=zone)
    assert _chosen("2026-10-25 02:30", "2026-10-25T00:00:00+00:00", zone=zone) == "2026-10-25T00:00:00+00:00"
    with pytest.raises(ValueError, match="never"):
        understand("2026-03-29 02:30", NOW, zone)


def test_when_every_point_is_later_the_nearest_are_named() -> None:
    with pytest.raises(NoRestorePoint, match="20261120T180000Z"):
        _chosen("2026-11-01", "2026-11-20T18:00:00+00:00")


def test_a_time_of_today_that_is_still_to_come_is_no_time_of_a_restore_point() -> None:
    for text in ("18:00", "today 18:00"):
        with pytest.raises(ValueError, match="yesterday 18:00"):
            understand_past(text, NOW, BERLIN)
    assert understand_past("today", NOW, BERLIN).at > NOW
    assert read_when("today 18:00", NOW, BERLIN) > NOW


def test_what_words_say_of_an_instant_at_takes_again() -> None:
    assert read_when(local(NOW), NOW) == NOW.replace(microsecond=0)
