"""Who gets a place under a limit, and who gives it back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from server.inventory.limits import limits_by_host
from server.inventory.model import LimitDefinition
from server.ordering.places import Claim, give_places, holds_place, line_up, may_have_place, read_claim
from server.store.backup_orders import BackupOrder
from server.store.backup_places import Turn

if TYPE_CHECKING:
    from collections.abc import Iterable

NOW = datetime(2026, 11, 30, 3, 0, tzinfo=UTC)
HERE = dict.fromkeys(("a", "b", "c", "d"), 1.0)
"""For how many seconds hosts have not been heard."""


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def claim(host: str, name: str = "files", since: float = 10, targets: tuple[str, ...] = ("swift",)) -> Claim:
    """Return a claim that waits since so many minutes ago."""
    return Claim(host=host, set=name, due_at=NOW - minutes(since), since=NOW - minutes(since), targets=targets)


def order(host: str, name: str = "files", *limits: str, **others: Any) -> BackupOrder:
    facts: dict[str, Any] = {
        "id": 1, "host": host, "set": name, "due_at": NOW, "ordered_by": "", "ordered_at": NOW, "expires_at": NOW,
        "claimed_epoch": 1, "cancelled_by": None, "state": "started", "note": "", "answered_at": None,
        "limits": list(limits),
    }  # fmt: skip
    return BackupOrder(**facts | others)


def limit(name: str, at_once: int, **others: Any) -> LimitDefinition:
    return LimitDefinition(kind="limit", name=name, at_once=at_once, **others)


def given(line: list[Claim], limits: Iterable[LimitDefinition], *orders: BackupOrder) -> list[tuple[str, str, str]]:
    groups = {"a": ("web",), "b": ("web",)}
    groups_of = {each: groups.get(each, ()) for each in "abcd"}
    places = give_places(line, limits_by_host(limits, groups_of), orders, HERE, NOW)
    return [(place.claim.host, place.claim.set, "+".join(place.limits)) for place in places]


def test_no_more_run_at_once_than_a_limit_says_and_a_run_has_a_place_in_all_its_limits_or_in_none() -> None:
    line = [claim("a"), claim("b"), claim("c", targets=("swift", "far")), claim("d", targets=("far",))]
    assert given(line, [limit("all", 2)]) == [("a", "files", "all"), ("b", "files", "all")]
    assert given(line, [limit("all", 2)], order("d", "files", "all")) == [("a", "files", "all")]
    both = [limit("far", 1, targets=("far",)), limit("web", 1, groups=("web",)), limit("all", 3)]
    assert given(line, both, order("d", "more", "far")) == [("a", "files", "web+all")]
    assert given(line, both) == [("a", "files", "web+all"), ("c", "files", "far+all")]


def test_a_host_has_one_place_at_a_time_unless_the_limit_gives_it_more() -> None:
    line = [claim("a", "one"), claim("a", "two"), claim("a", "three"), claim("b")]
    assert given(line, [limit("all", 4)]) == [("a", "one", "all"), ("b", "files", "all")]
    assert len(given(line, [limit("all", 4, per_host=2)])) == 3
    # One that never ends its run loses the place in time, and gets no other for that.
    endless = order("a", "zero", "all", ordered_at=NOW - timedelta(hours=13))
    assert given(line, [limit("all", 1)], endless) == [("b", "files", "all")]


def test_who_waits_longest_comes_first_whatever_a_host_says_of_itself() -> None:
    liar = Claim(host="d", set="x", due_at=NOW, since=datetime(1970, 1, 1, tzinfo=UTC), targets=())
    ahead = Claim(host="c", set="x", due_at=NOW, since=NOW + timedelta(days=9), targets=())
    served = Turn(host="d", set="w", given_at=NOW - minutes(9), ended_at=NOW - minutes(5))
    line = line_up([ahead, claim("a", since=3), liar, claim("b", since=8)], [served], NOW)
    assert [each.host for each in line] == ["b", "d", "a", "c"]  # the liar counts from his last turn


def test_a_place_is_given_back_by_a_host_that_fell_silent_and_after_half_a_day() -> None:
    assert holds_place(order("a"), HERE, NOW)
    assert not holds_place(order("a"), {"a": 901.0}, NOW)
    assert not holds_place(order("a"), {}, NOW)
    assert not holds_place(order("a", ordered_at=NOW - timedelta(hours=12)), HERE, NOW)
    assert holds_place(order("a", state="ordered"), {}, NOW)  # for the ten minutes after which it expires


def test_a_place_is_for_hosts_that_are_there_runs_that_are_due_and_sets_that_did_not_just_have_one() -> None:
    assert may_have_place(claim("a"), None, HERE, NOW)
    assert not may_have_place(claim("a"), None, {"a": 121.0}, NOW)
    assert not may_have_place(claim("a"), None, {}, NOW)
    assert not may_have_place(claim("a", since=-11), None, HERE, NOW)
    assert not may_have_place(claim("a", since=401 * 1440), None, HERE, NOW)
    turn = Turn(host="a", set="files", given_at=NOW - minutes(0.5), ended_at=NOW)
    assert not may_have_place(claim("a"), turn, HERE, NOW)


def test_what_a_host_claims_is_read_and_nonsense_claims_nothing() -> None:
    said = "2026-11-30T02:30:00.5+00:00 2026-11-29T03:30:00+01:00 swift,far"
    found = read_claim("a", "files", said)
    assert found is not None
    assert (found.due_at, found.since) == (NOW - minutes(30), NOW - timedelta(days=1) - minutes(30))
    assert found.targets == ("swift", "far")
    for text in ("", "x y z", "2026-11-30T02:30:00 2026-11-30T02:30:00 swift", said + " more", said.partition(" ")[0],
                 "0001-01-01T00:00:00+14:00 0001-01-01T00:00:00+14:00 swift"):  # fmt: skip
        assert read_claim("a", "files", text) is None
