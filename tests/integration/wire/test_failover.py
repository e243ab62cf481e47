"""A source and several collectors: it goes to the next when one is gone, and back when the preferred one is steady."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from core.spool.faults import SpoolFault
from core.wire.curve import make_keys
from core.wire.messages import Redirect
from core.wire.publisher import Upstream
from tests.support.links import SHORT, End, Origin, peer_of, running
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from core.wire.greeter import HeartbeatFacts


async def test_a_source_goes_to_the_next_collector_and_returns_to_the_preferred_one(tmp_path: Path) -> None:
    keys = make_keys()
    first, second = End([peer_of(keys)]), End([peer_of(keys)])
    async with running(first, second):
        origin = Origin(tmp_path, [first.upstream, second.upstream], keys=keys)
        async with running(origin):
            origin.publish(100)
            await until(lambda: first.ledger.has(100))
            await first.stop()
            origin.publish(100)
            await until(lambda: second.ledger.has(200, first=101), what="the second took over")
            await first.start()
            await until(lambda: origin.publisher.state.upstream == first.upstream, what="the return")
            origin.publish(100)
            await until(lambda: first.ledger.has(300, first=201))
            await until(lambda: origin.spool.held_records == 0)


async def test_what_a_dead_collector_took_and_never_stored_is_sent_to_the_next(tmp_path: Path) -> None:
    keys = make_keys()
    first, second = End([peer_of(keys)]), End([peer_of(keys)])
    first.ledger.says_stored = False
    async with running(first, second):
        origin = Origin(tmp_path, [first.upstream, second.upstream], keys=keys)
        origin.publish(200)
        async with running(origin):
            await until(lambda: first.ledger.has(200))
            first.collector.acknowledge("taken", {(origin.source.bytes, origin.boot): [(1, 200)]})
            await until(lambda: origin.notes.acks["taken"].covers(1, 200))
            assert origin.spool.held_records == 200
            await first.stop()
            await until(lambda: second.ledger.has(200))
            await first.start()


async def test_a_standby_redirects_to_the_active_collector(tmp_path: Path) -> None:
    keys = make_keys()
    standby, other, active = End([peer_of(keys)]), End([peer_of(keys)]), End([peer_of(keys)])
    standby.ledger.reign(0, is_active=False)
    async with running(standby, other, active):
        standby.ledger.answer = Redirect(endpoints=(active.upstream.endpoint,), reason="standby")
        origin = Origin(tmp_path, [standby.upstream, other.upstream, active.upstream], keys=keys)
        other.ledger.answer = Redirect(endpoints=(), reason="standby")
        other.ledger.reign(0, is_active=False)
        origin.publish(10)
        async with running(origin):
            await until(lambda: active.ledger.has(10))
            assert not other.ledger.hellos
            assert origin.counters.get("link.redirects") == 1


async def test_a_redirect_to_a_stranger_is_not_followed(tmp_path: Path) -> None:
    keys = make_keys()
    standby, stranger, active = End([peer_of(keys)]), End([peer_of(keys)]), End([peer_of(keys)])
    standby.ledger.reign(0, is_active=False)
    async with running(standby, stranger, active):
        standby.ledger.answer = Redirect(endpoints=(stranger.upstream.endpoint,), reason="standby")
        origin = Origin(tmp_path, [standby.upstream, active.upstream], keys=keys)
        origin.publish(10)
        async with running(origin):
            await until(lambda: active.ledger.has(10))
            assert not stranger.ledger.hellos


async def test_a_collector_that_stops_being_active_is_left(tmp_path: Path) -> None:
    keys = make_keys()
    first, second = End([peer_of(keys)]), End([peer_of(keys)])
    async with running(first, second):
        origin = Origin(tmp_path, [first.upstream, second.upstream], keys=keys)
        async with running(origin):
            await until(lambda: origin.publisher.state.upstream == first.upstream)
            first.ledger.reign(1, is_active=False)
            await until(lambda: origin.publisher.state.upstream == second.upstream)
            origin.publish(10)
            await until(lambda: second.ledger.has(10))


async def test_a_server_of_an_epoch_that_is_over_is_left_for_good(tmp_path: Path) -> None:
    keys = make_keys()
    old, new = End([peer_of(keys)]), End([peer_of(keys)])
    new.ledger.reign(5)
    async with running(old, new):
        origin = Origin(tmp_path, [new.upstream, old.upstream], keys=keys)
        async with running(origin):
            await until(lambda: origin.notes.epoch == 5)
            await new.stop()
            await until(lambda: origin.counters.get("link.stale_epochs") > 0, what="the old one refused")
            origin.publish(10)
            new.ledger.reign(6)
            await new.start()
            await until(lambda: new.ledger.has(10))
            assert old.ledger.received_records == 0


async def test_a_server_that_does_not_know_it_was_replaced_is_left_for_the_one_that_took_over(tmp_path: Path) -> None:
    """It is cut off from its database: it answers, says it is active, and stores nothing."""
    keys = make_keys()
    old, new = End([peer_of(keys)]), End([peer_of(keys)])
    new.ledger.reign(0, is_active=False)
    old.ledger.says_stored = False
    async with running(old, new):
        origin = Origin(tmp_path, [old.upstream, new.upstream], keys=keys)
        origin.publish(10)
        async with running(origin):
            await until(lambda: old.ledger.has(10))
            new.ledger.reign(2)
            await until(lambda: new.ledger.has(10), what="the new server was found")
            await until(lambda: origin.spool.held_records == 0)


async def test_a_heartbeat_for_which_the_spool_cannot_be_read_costs_the_session_not_the_source(tmp_path: Path) -> None:
    keys = make_keys()
    end = End([peer_of(keys)])
    async with running(end):
        origin = Origin(tmp_path, [end.upstream], keys=keys)
        facts, faults = origin.notes.heartbeat, [SpoolFault("no file can be opened")]

        def heartbeat() -> HeartbeatFacts:
            if faults:
                raise faults.pop()
            return facts()

        origin.notes.heartbeat = heartbeat  # type: ignore[method-assign]  # a disk that refuses once
        origin.publish(10)
        async with running(origin):
            await until(lambda: end.ledger.has(10))
            assert not faults


async def test_a_source_whose_upstreams_are_all_away_keeps_trying_and_keeps_everything(tmp_path: Path) -> None:
    keys = make_keys()
    end = End([peer_of(keys)])
    nobody = Upstream(endpoint="tcp://127.0.0.1:9", key=make_keys().public)
    async with running(end):
        upstream = end.upstream
        await end.stop()
        origin = Origin(tmp_path, [nobody, upstream], keys=keys)
        origin.publish(50)
        async with running(origin):
            await until(lambda: origin.counters.get("link.sessions") >= 6)
            assert "nobody answers" in origin.publisher.state.trouble
            await end.start()
            await until(lambda: end.ledger.has(50))


async def test_an_upstream_that_is_put_first_is_gone_to_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    keys = make_keys()
    first, second = End([peer_of(keys)]), End([peer_of(keys)])
    timings = replace(SHORT, probe_seconds=60.0)  # so that only the order can have moved it
    async with running(first, second):
        origin = Origin(tmp_path, [first.upstream, second.upstream], keys=keys, timings=timings)
        first.ledger.says_stored = False
        async with running(origin):
            origin.publish(100)
            await until(lambda: first.ledger.has(100))
            origin.publisher.prefer([second.upstream, first.upstream])
            await until(lambda: second.ledger.has(100), what="what the first never stored")
            origin.publisher.prefer([first.upstream, second.upstream])
            first.ledger.says_stored = True
            await until(lambda: origin.publisher.state.upstream == first.upstream, what="the way back")


async def test_an_upstream_that_is_put_first_and_is_not_well_is_not_gone_to_before_it_is(tmp_path: Path) -> None:
    keys = make_keys()
    first, second = End([peer_of(keys)]), End([peer_of(keys)])
    async with running(first, second):
        second.collector.stand(role="proxy", epoch=1, is_active=False)
        origin = Origin(tmp_path, [first.upstream, second.upstream], keys=keys)
        async with running(origin):
            await until(lambda: origin.publisher.state.upstream == first.upstream)
            origin.publisher.prefer([second.upstream, first.upstream])
            origin.publish(100)
            await until(lambda: first.ledger.has(100))
            assert origin.publisher.state.upstream == first.upstream
            second.collector.stand(role="proxy", epoch=1, is_active=True)
            await until(lambda: origin.publisher.state.upstream == second.upstream, what="the regular looks")
            await first.stop()
            await second.stop()
            await first.start()
            await until(lambda: origin.publisher.state.upstream == first.upstream, what="the next of the new order")
            await second.start()


async def test_an_order_can_neither_bring_in_an_upstream_nor_take_one_away(tmp_path: Path) -> None:
    keys = make_keys()
    first, second, stranger = End([peer_of(keys)]), End([peer_of(keys)]), End([peer_of(keys)])
    origin = Origin(tmp_path, [first.upstream, second.upstream], keys=keys)
    for order in ([stranger.upstream, first.upstream], [first.upstream], [first.upstream, first.upstream], []):
        with pytest.raises(ValueError, match="an order names"):
            origin.publisher.prefer(order)
    origin.spool.close()
