"""A stream that is sent step by step, over a pipe and by a clock that the test moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import zmq
import zmq.asyncio

from core.runtime.clock import ManualClock
from core.runtime.counters import Counters
from core.spool.scan import records_of
from core.wire.frames import read_envelope
from core.wire.stream import Stream
from core.wire.timings import LinkTimings

if TYPE_CHECKING:
    from core.spool.spool import Spool

Name = tuple[bytes, int, int]
"""(source, boot, number)."""


class MovedClock(ManualClock):
    """A clock without sleepers, moved without waiting."""

    def move(self, seconds: float) -> None:
        """Move both times on."""
        self._move_to(self._monotonic + seconds)


class Done:
    """What sending without waiting returns when the pipe had room."""

    def result(self) -> None:
        """Nothing went wrong."""


class Pipe:
    """The data socket: frames wait in `frames` as (number, records) until the test takes them."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, bytes]] = []
        self.is_full = False

    def send_multipart(self, parts: list[bytes], flags: int) -> Done:
        assert flags == zmq.NOBLOCK
        if self.is_full:
            raise zmq.Again
        _, frame = read_envelope(parts[0], [len(part) for part in parts])
        self.frames.append((frame, parts[1]))
        return Done()


class Sending:
    """One session's stream over a spool. Small live frames are not gathered unless `gather_seconds` says so."""

    def __init__(self, spool: Spool, clock: MovedClock, window: int = 1 << 20, gather_seconds: float = 0.0) -> None:
        self.pipe = Pipe()
        self.stream = Stream(
            spool=spool, socket=cast("zmq.asyncio.Socket", self.pipe), session=1, window=window, clock=clock,
            counters=Counters(), timings=LinkTimings(gather_seconds=gather_seconds),
        )  # fmt: skip

    def step(self) -> tuple[int, bytes] | None:
        """Send one frame; return its number and records, None when there is nothing to send or no credit."""
        for _ in range(10_000):
            sent_bytes = self.stream._send_next()
            if sent_bytes is None:
                return None
            if sent_bytes:
                return self.pipe.frames[-1]
        raise AssertionError("the stream turns in circles")

    def send_all(self, window: int = 1 << 20) -> list[Name]:
        """Send and receipt until nothing is left; return what the collector read, in order."""
        read: list[Name] = []
        while (frame := self.step()) is not None:
            self.stream.receipt(frame[0], window)
            read += names_in(frame[1])
        self.pipe.frames.clear()
        return read


def names_in(records: bytes) -> list[Name]:
    """Return the names of whole records."""
    return [(source, boot, number) for _, _, _, source, boot, number in records_of(records)]
