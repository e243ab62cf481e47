from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triggers.escalation.hours import parse_hours

OFFICE = parse_hours("mon-fri 08:00-18:00 Europe/Berlin")


def berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin")).astimezone(UTC)


def test_within_the_hours_is_at_once_and_outside_is_their_next_begin() -> None:
    friday_noon = berlin("2026-11-20 12:00")
    assert OFFICE.next_instant(friday_noon) == friday_noon
    assert OFFICE.next_instant(berlin("2026-11-20 07:59")) == berlin("2026-11-20 08:00")
    assert OFFICE.next_instant(berlin("2026-11-20 18:00")) == berlin("2026-11-23 08:00"), "the end lies outside"
    assert OFFICE.next_instant(berlin("2026-11-21 03:00")) == berlin("2026-11-23 08:00")


def test_hours_follow_the_clocks_of_their_zone_when_these_change() -> None:
    assert OFFICE.next_instant(berlin("2026-03-29 12:00")) == datetime(2026, 3, 30, 6, tzinfo=UTC)
    assert OFFICE.next_instant(berlin("2026-03-27 19:00")) == datetime(2026, 3, 30, 6, tzinfo=UTC)
    assert OFFICE.next_instant(berlin("2026-10-24 12:00")) == datetime(2026, 10, 26, 7, tzinfo=UTC)


def test_a_span_may_last_into_the_next_day_and_days_may_be_left_out() -> None:
    night = parse_hours("fri 22:00-06:00 UTC")
    assert night.contains(datetime(2026, 11, 21, 5, 59, tzinfo=UTC))
    assert not night.contains(datetime(2026, 11, 21, 6, 0, tzinfo=UTC))
    assert not night.contains(datetime(2026, 11, 20, 5, 0, tzinfo=UTC))
    assert parse_hours("00:00-24:00 UTC").contains(datetime(2026, 11, 22, 23, 59, tzinfo=UTC))
    weekend = parse_hours("sat-mon 10:00-12:00, wed 10:00-12:00 UTC")
    assert [day for day in range(15, 22) if weekend.contains(datetime(2026, 11, day, 11, tzinfo=UTC))] == [
        15,
        16,
        18,
        21,
    ]


@pytest.mark.parametrize(
    "text",
    ["", "mon-fri 08:00-18:00", "mon-fri UTC", "08:00-08:00 UTC", "24:00-24:00 UTC", "08:61-09:00 UTC",
     "25:00-26:00 UTC", "xxx 08:00-09:00 UTC", "08:00-18:00 Mars/Olympus", "08:00-18:00 ../../etc/passwd",
     "08:00-18:00, UTC", "8:00-18:00 UTC", "a" * 400],
)  # fmt: skip
def test_what_are_no_hours_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_hours(text)


@given(
    st.datetimes(timezones=st.just(UTC)).map(lambda at: at.replace(year=2024 + at.year % 6, day=min(at.day, 28))),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kathmandu"]),
)
def test_the_next_instant_lies_within_the_hours_and_none_before_it_does(now: datetime, zone: str) -> None:
    hours = parse_hours(f"mon-fri 08:00-18:00, sat 22:00-03:00 {zone}")
    found = hours.next_instant(now)
    assert hours.contains(found)
    assert now <= found <= now + timedelta(days=3)
    if found > now:
        assert not hours.contains(found - timedelta(minutes=1))
