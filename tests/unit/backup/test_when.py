"""Instants as people say them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from backup.when import read_when

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


def test_without_a_zone_this_machines_is_meant() -> None:
    here = datetime(2026, 11, 20, 18, 0).astimezone()
    assert read_when("2026-11-20 18:00", NOW) == here
    assert read_when("yesterday 18:00", datetime(2026, 11, 21, 12, 0).astimezone()) == here
