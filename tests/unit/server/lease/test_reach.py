"""An active server that nobody reaches hands over; one that some reach only says so."""

from __future__ import annotations

from server.lease.reach import Reach, judge_reach
from server.store.servers import ServerView


def server(name: str, *callers: str, seen: float = 1.0) -> ServerView:
    return ServerView(name=name, endpoint="", software="", seen_seconds=seen, links=0, callers=callers)


def judged(*servers: ServerView, linked: tuple[str, ...] = (), unlinked: float = 60, reigned: float = 600) -> Reach:
    return judge_reach("one", servers, linked, unlinked_seconds=unlinked, reigned_seconds=reigned)


def test_nobody_reaches_it_and_another_is_called() -> None:
    reach = judged(server("one"), server("two", "proxy1", "proxy2"))
    assert reach.hand_over
    assert "proxy1, proxy2 at two" in reach.note


def test_nobody_calls_anywhere_so_nothing_would_be_better() -> None:
    assert judged(server("one"), server("two")) == Reach()
    assert judged(server("one", "proxy1")) == Reach()


def test_a_server_that_is_gone_is_nobody_to_hand_over_to() -> None:
    assert judged(server("one"), server("two", "proxy1", seen=6)) == Reach()


def test_while_some_are_linked_the_lease_stays_and_the_others_are_named() -> None:
    reach = judged(server("two", "proxy2"), linked=("proxy1",), unlinked=0)
    assert not reach.hand_over
    assert "proxy2 at two" in reach.note


def test_who_called_elsewhere_and_is_linked_here_by_now_is_no_trouble() -> None:
    assert judged(server("two", "proxy1"), linked=("proxy1",), unlinked=0) == Reach()


def test_a_short_silence_and_a_young_reign_are_waited_for() -> None:
    assert not judged(server("two", "proxy1"), unlinked=9).hand_over
    assert not judged(server("two", "proxy1"), reigned=14).hand_over
    assert judged(server("two", "proxy1"), reigned=14).note
