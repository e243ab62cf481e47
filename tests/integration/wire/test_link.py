"""One publisher, one collector, real sockets: everything arrives, whatever happens on the way."""

from __future__ import annotations

import asyncio
import resource
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from core.model.ranges import RangeSet
from core.wire.authentication import key_of
from core.wire.curve import make_keys
from core.wire.frames import read_envelope
from core.wire.limits import BUDGET_BYTES, SMALLEST_WINDOW_BYTES, WINDOW_BYTES
from core.wire.links import Links
from core.wire.messages import Configuration
from core.wire.timings import LinkTimings
from tests.support.links import SHORT, End, Origin, peer_of, running
from tests.support.records import BOOT, SOURCE
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    import zmq

WINDOW = 1 << 20


async def test_what_is_appended_arrives_once_and_is_acknowledged_as_stored(tmp_path: Path) -> None:
    keys = make_keys()
    end = End([peer_of(keys)])
    async with running(end):
        origin = Origin(tmp_path, [end.upstream], keys=keys)
        origin.publish(500)
        async with running(origin):
            await until(lambda: end.ledger.has(500), what="the records of before the link")
            origin.publish(500)
            await until(lambda: end.ledger.has(1000), what="the records appended meanwhile")
            await until(lambda: origin.notes.acks["stored"].covers(1, 1000), what="the acknowledgements")
            assert end.ledger.received_records == 1000
            assert origin.spool.held_records == 0
            assert origin.notes.welcomes[0].epoch == 1


async def test_a_record_larger_than_the_window_passes(tmp_path: Path) -> None:
    keys = make_keys()
    end = End([peer_of(keys)], window_bytes=64 << 10)
    async with running(end):
        origin = Origin(tmp_path, [end.upstream], keys=keys)
        async with running(origin):
            origin.publish(1, values=65_536)
            origin.publish(3)
            origin.publish(2, values=65_536)
            await until(lambda: end.ledger.has(6))


async def test_what_a_rolled_back_source_issued_anew_is_not_taken_for_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = make_keys()
    end = End([peer_of(keys)])
    end.ledger.received[SOURCE.bytes, BOOT] = RangeSet([(1, 100)])
    async with running(end):
        origin = Origin(tmp_path, [end.upstream], keys=keys)
        origin.publish(5)
        held: list[int] = []
        monkeypatch.setattr(origin.notes, "welcomed", lambda _: held.append(origin.spool.held_records))
        async with running(origin):
            await until(lambda: bool(held), what="the welcome")
    assert held == [5]


@pytest.mark.trial("R1")
async def test_a_collector_that_dies_in_mid_stream_costs_nothing(tmp_path: Path) -> None:
    keys = make_keys()
    end = End([peer_of(keys)])
    async with running(end):
        origin = Origin(tmp_path, [end.upstream], keys=keys)
        async with running(origin):
            for _ in range(4):
                origin.publish(300, values=100)
                received = end.ledger.received_records
                await until(lambda before=received: end.ledger.received_records > before)  # type: ignore[misc]  # bound
                await end.stop()
                origin.publish(300, values=100)
                await until(lambda: not origin.is_up, what="the loss noticed")
                await end.start()
            await until(lambda: end.ledger.has(2400), what="everything at the collector")
            await until(lambda: origin.spool.held_records == 0, what="everything acknowledged")


async def test_frames_that_get_lost_are_sent_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = make_keys()
    end = End([peer_of(keys)])
    lose_frames(monkeypatch, end, {2, 3, 7})
    async with running(end):
        origin = Origin(tmp_path, [end.upstream], keys=keys)
        origin.publish(3000, values=60)
        async with running(origin):
            await until(lambda: end.ledger.has(3000))
            assert end.ledger.received_records == 3000
            assert origin.counters.get("link.resends") >= 2
            assert end.counters.get("link.gaps") >= 2


async def test_a_lost_tail_is_noticed_by_the_heartbeat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = make_keys()
    end = End([peer_of(keys)], timings=replace(SHORT, again_seconds=2.0))  # a busy machine needs time to send it again
    lose_frames(monkeypatch, end, {1})
    async with running(end):
        origin = Origin(tmp_path, [end.upstream], keys=keys)
        origin.publish(1)
        async with running(origin):
            await until(lambda: end.ledger.has(1))
            assert origin.counters.get("link.sessions") == 1
            assert end.counters.get("link.gaps") == 1


@pytest.mark.trial("R7")
async def test_a_slow_consumer_stops_the_sender_and_nothing_is_dropped(tmp_path: Path) -> None:
    keys = make_keys()
    end = End([peer_of(keys)], window_bytes=WINDOW)
    async with running(end):
        origin = Origin(tmp_path, [end.upstream], keys=keys)
        async with running(origin):
            await until(lambda: origin.is_up)
            end.ledger.room.clear()
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            for _ in range(100):
                origin.publish(40, values=500)  # 32 MB in all
                await asyncio.sleep(0)
            await until(lambda: origin.publisher.state.window == 0, what="the credit withdrawn")
            assert origin.publisher.state.in_flight_bytes <= WINDOW
            assert end.ledger.received_records == 0
            growth_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            assert growth_kib < 64 << 10
            end.ledger.room.set()
            await until(lambda: end.ledger.has(4000))
            assert end.ledger.received_records == 4000
            assert origin.counters.get("link.sessions") == 1


async def test_a_source_that_comes_while_the_receiver_is_full_is_served_afterwards(tmp_path: Path) -> None:
    first, second = make_keys(), make_keys()
    end = End([peer_of(first), peer_of(second)])
    async with running(end):
        one = Origin(tmp_path / "one", [end.upstream], keys=first)
        end.ledger.room.clear()
        one.publish(10)
        async with running(one):
            await until(lambda: any(link.frame for link in end.collector.links()), what="a frame that waits")
            await until(lambda: one.publisher.state.window == 0 and one.is_up, what="the credit withdrawn")
            two = Origin(tmp_path / "two", [end.upstream], keys=second, boot=43)
            two.publish(10)
            async with running(two):
                await until(lambda: two.is_up)
                end.ledger.room.set()
                await until(lambda: end.ledger.has(10) and end.ledger.has(10, boot=43))
                assert two.counters.get("link.sessions") == 1


async def test_what_was_stored_is_not_sent_again_after_a_restart_of_the_source(tmp_path: Path) -> None:
    keys = make_keys()
    end = End([peer_of(keys)])
    async with running(end):
        origin = Origin(tmp_path, [end.upstream], keys=keys)
        origin.publish(100)
        async with running(origin):
            await until(lambda: end.ledger.has(100))
        again = Origin(tmp_path, [end.upstream], keys=keys)
        again.notes.last_number = 100
        again.publish(1)
        async with running(again):
            await until(lambda: end.ledger.has(101))
            assert end.ledger.received_records == 101


async def test_commands_of_an_epoch_that_is_over_are_refused(tmp_path: Path) -> None:
    keys = make_keys()
    end = End([peer_of(keys)])
    async with running(end):
        origin = Origin(tmp_path, [end.upstream], keys=keys)
        async with running(origin):
            await until(lambda: bool(end.collector.links()))
            for epoch in (7, 6, 7):
                assert await end.collector.send(keys.public, Configuration(epoch=epoch, version=epoch, body={}))
            await until(lambda: len(origin.notes.configurations) == 2)
            assert [message.epoch for message in origin.notes.configurations] == [7, 7]
            assert origin.counters.get("link.stale_commands") == 1
            assert origin.notes.epoch == 7


def test_many_links_share_the_budget() -> None:
    links = Links(WINDOW_BYTES)
    assert links.window_bytes == WINDOW_BYTES
    links._links = dict.fromkeys(range(1000))  # type: ignore[assignment,arg-type]  # only their number counts here
    assert SMALLEST_WINDOW_BYTES <= links.window_bytes <= BUDGET_BYTES // 1000


async def test_a_silent_source_is_forgotten_and_comes_back(tmp_path: Path) -> None:
    keys = make_keys()
    # The source says so seldom how it is that it is taken for dead, and so often that it soon hears of it; in between
    # there is time for its records, on a busy machine too.
    end = End([peer_of(keys)], timings=LinkTimings(heartbeat_seconds=0.1, dead_seconds=1.5, again_seconds=0.2))
    async with running(end):
        origin = Origin(
            tmp_path,
            [end.upstream],
            keys=keys,
            timings=LinkTimings(heartbeat_seconds=4.0, dead_seconds=60.0, first_retry_seconds=0.02),
        )
        async with running(origin):
            await until(lambda: end.counters.get("link.lost") > 0, what="the silence noticed")
            origin.publish(10)
            await until(lambda: end.ledger.has(10), what="the records after coming back")


def lose_frames(monkeypatch: pytest.MonkeyPatch, end: End, frames: set[int]) -> None:
    """Lose each of these frames once, as a network that drops it would, when all before it have come.

    By their numbers: how many arrive between a loss and what is sent again hangs on how fast the machine is.
    """
    intake = end.collector._intake
    take = intake._take
    lost: set[int] = set()

    async def lossy(parts: list[zmq.Frame]) -> None:
        _, frame = read_envelope(parts[0].bytes, [len(part) for part in parts])
        link = end.collector._links.get(key_of(parts[0]))
        if frame in frames - lost and link is not None and frame == link.frame + 1:
            lost.add(frame)
        else:
            await take(parts)

    monkeypatch.setattr(intake, "_take", lossy)
