"""What a stream sends of a spool that grows while it is sent."""

from __future__ import annotations

from contextlib import closing
from math import inf
from typing import TYPE_CHECKING

import zmq.asyncio

from core.runtime.clock import ManualClock, SystemClock
from core.runtime.counters import Counters
from core.spool.spool import Spool, SpoolLimits
from core.wire.stream import Stream
from core.wire.timings import LinkTimings
from tests.support.records import BOOT, SOURCE, numbers_in, record, records

if TYPE_CHECKING:
    from pathlib import Path

NEW_BOOT = BOOT + 1
HOUR_US = 3_600_000_000


def send_one(stream: Stream) -> None:
    """Send the next frame; dividing the lanes, and leaving out what is stored, are steps of their own."""
    while (sent := stream._send_next()) == 0:
        pass
    assert sent


def send_all(stream: Stream) -> None:
    """Send until nothing can be sent."""
    while stream._send_next() is not None:
        pass


async def test_a_record_appended_while_older_files_are_sent_is_sent_too(tmp_path: Path) -> None:
    with closing(Spool.open(tmp_path, SpoolLimits())) as spool:
        spool.append(records([1, 2]))
    context = zmq.asyncio.Context()
    far, near = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
    far.bind("inproc://stream")
    near.connect("inproc://stream")
    try:
        with closing(Spool.open(tmp_path, SpoolLimits())) as spool:
            spool.append(records([1, 2], boot=NEW_BOOT))  # a file of its own, behind the old one
            spool.mark_stored(SOURCE.bytes, NEW_BOOT, [(1, 1)])
            stream = Stream(
                spool=spool, socket=near, session=1, window=1 << 20, clock=SystemClock(), counters=Counters(),
                timings=LinkTimings(),
            )  # fmt: skip
            send_one(stream)
            spool.append(record(3, boot=NEW_BOOT))
            stream.receipt(1, 1 << 20)
            send_one(stream)
            assert stream._send_next() is None
            sent = [numbers_in((await far.recv_multipart())[1]) for _ in range(2)]
        assert sent == [[1, 2], [2, 3]]
    finally:
        context.destroy(linger=0)


async def test_what_a_slow_clock_stamped_long_ago_is_no_backlog_once_it_was_sent(tmp_path: Path) -> None:
    context = zmq.asyncio.Context()
    far, near = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
    far.bind("inproc://slow")
    near.connect("inproc://slow")
    clock = ManualClock()

    def old(number: int) -> bytes:
        return record(number, at=clock.now_us() - HOUR_US)

    try:
        with closing(Spool.open(tmp_path, SpoolLimits())) as spool:
            stream = Stream(
                spool=spool, socket=near, session=1, window=1 << 20, clock=clock, counters=Counters(),
                timings=LinkTimings(),
            )  # fmt: skip
            assert stream.behind_seconds == inf, "nothing was looked at yet"
            spool.append(old(1))
            send_all(stream)
            stream.receipt(1, 1 << 20)
            send_all(stream)
            assert stream.behind_seconds == 0
            await clock.advance(5)
            spool.append(old(2))
            assert stream.behind_seconds == 5, "it waits"
            send_all(stream)
            stream.receipt(2, 1 << 20)
            send_all(stream)
            assert stream.behind_seconds == 0, "and so on, record by record"
    finally:
        context.destroy(linger=0)
