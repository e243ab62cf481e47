"""Sets that wait for a place: the id they wait under, when they begin without, who claims one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from agent.backups.places import PlaceBook, Wish, limits_for, read_limits
from agent.backups.turns import Due, take_turns
from backup.settings.backup_set import SetSettings
from core.runtime.window import parse_window

if TYPE_CHECKING:
    from agent.backups.places import Claim

DUE = datetime(2026, 11, 30, 2, 30, tzinfo=UTC)
NOW = DUE + timedelta(minutes=5)
HOUR = timedelta(hours=1)
WISH = Wish(due_at=DUE, base=DUE, since=DUE, targets=("store",), wait_at_most=6 * HOUR, window=None)


def told(name: str = "swift", **others: Any) -> dict[str, Any]:
    return {"name": name, "targets": ["store"], "wait_at_most_seconds": 60.0} | others


def test_limits_are_read_from_the_document_and_what_is_not_understood_limits_nothing() -> None:
    body = {"backup_limits": [told(), told("all", targets=[]), told(wait_at_most_seconds=-1), {"name": "x"}, 7]}
    limits = read_limits(body)
    assert [limit.name for limit in limits] == ["swift", "all"]
    assert [limit.name for limit in limits_for(limits, ("near", "far"))] == ["all"]
    assert [limit.name for limit in limits_for(limits, ("near", "store"))] == ["swift", "all"]
    assert read_limits({"backup_limits": 7}) == read_limits(None) == ()


def test_a_run_waits_under_one_id_until_a_later_one_is_due_or_its_id_was_answered() -> None:
    places = PlaceBook()
    first = places.claim("files", WISH, None, NOW)
    assert (first.due_at, first.asked_at, first.begins_at) == (DUE, NOW, NOW + 6 * HOUR)
    later = NOW + timedelta(seconds=30)
    # What failed is wanted under the instant of each look; it waits under the first.
    again = places.claim("other", replace(WISH, due_at=later), None, later)
    assert places.claim("other", replace(WISH, due_at=later + HOUR), None, later + HOUR).due_at == again.due_at
    # The next due instant: one run for both, and it keeps its turn.
    tomorrow = DUE + timedelta(days=1)
    both = places.claim("files", replace(WISH, due_at=tomorrow, base=tomorrow), None, tomorrow)
    assert (both.due_at, both.since, both.asked_at) == (tomorrow, DUE, NOW)
    assert places.waits_for("files", DUE)
    assert not places.waits_for("files", tomorrow + HOUR)
    refused = places.claim("files", replace(WISH, due_at=tomorrow, base=tomorrow), tomorrow, tomorrow + HOUR)
    assert refused.due_at == tomorrow + HOUR
    places.keep(["other"])
    assert not places.waits_for("files", DUE)


def test_a_run_that_gets_no_place_begins_without_while_a_quarter_of_its_window_is_left() -> None:
    windowed = replace(WISH, window=parse_window("02:00-04:35"))
    assert PlaceBook().claim("files", windowed, None, NOW).begins_at == NOW + timedelta(hours=1.5)
    assert PlaceBook().claim("files", replace(windowed, wait_at_most=HOUR), None, NOW).begins_at == NOW + HOUR


def claim(since: datetime) -> Claim:
    return PlaceBook().claim("x", replace(WISH, since=since), None, NOW)


def test_places_are_claimed_only_where_this_host_has_room_and_what_needs_none_does_not_wait_behind() -> None:
    free = Due(chosen=SetSettings(name="free", target="store"), due_at=NOW, reason="")
    waiting = {"young": claim(DUE), "old": claim(DUE - HOUR)}
    one, two, none = (take_turns([free], waiting, room) for room in (1, 2, -1))
    assert ([each.chosen.name for each in one.starting], list(one.claiming)) == (["free"], [])
    assert sorted(one.waiting) == ["old", "young"]
    assert ([each.chosen.name for each in two.starting], list(two.claiming)) == (["free"], ["old"])
    assert (none.starting, none.claiming, sorted(none.waiting)) == ([], {}, ["free", "old", "young"])
