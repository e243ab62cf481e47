"""The queue between the links and ingest: bounded in bytes, live records before old ones."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

from core.model.record import Kind, iterate
from server.intake.screening import Arrival
from server.own.identity import OWN_KEY

if TYPE_CHECKING:
    from core.runtime.clock import Clock
    from core.runtime.counters import Counters

QUEUE_BYTES: Final = 64 << 20
LIVE_US: Final = 60 * 1_000_000
"""Records whose samples lag less than this are handled strictly in their source's order, before older ones."""
SAMPLES: Final = (Kind.VALUES, Kind.TEXTS)
"""The other kinds are few and what samples need to be understood: they never wait behind a backlog."""
MOST_COUNTED: Final = 100_000
"""Sources whose bytes are counted between two looks: a peer gone mad may invent as many as it likes."""
BACKLOG_SHARE: Final = 0.5
"""How much of a group older records may take while live ones wait."""


class Reception:
    """Records wait here in two lanes: live and backlog. Putting waits while the queue is full, so credit runs dry.

    How much each source sends is counted by the way, of live records only: a backlog says nothing of its source's rate.
    """

    def __init__(self, clock: Clock, counters: Counters, queue_bytes: int = QUEUE_BYTES) -> None:
        self._clock = clock
        self._queue_bytes = queue_bytes
        self._live: deque[Arrival] = deque()
        self._backlog: deque[Arrival] = deque()
        self._held_bytes = 0
        self._live_bytes: dict[bytes, int] = {}
        self._room = asyncio.Event()
        self._room.set()
        self._filled = asyncio.Event()
        counters.watch("intake.queued_bytes", lambda: self._held_bytes)
        counters.watch("intake.queued_records", lambda: len(self._live) + len(self._backlog))

    @property
    def is_behind(self) -> bool:
        """Whether live records wait: what an older record needs to be understood may be among them."""
        return bool(self._live)

    async def put(self, key: bytes, records: bytes) -> None:
        """Queue the whole, checked records of one frame that came under `key`; waits while the queue is full."""
        while self._held_bytes >= self._queue_bytes:
            self._room.clear()
            await self._room.wait()
        view = memoryview(records)
        live_from = self._clock.now_us() - LIVE_US
        for offset, header in iterate(view):
            arrival = Arrival(key, header, view[offset : offset + header.record_bytes])
            is_live = header.kind not in SAMPLES or header.base_at + header.span >= live_from
            lane = self._live if is_live else self._backlog
            lane.append(arrival)
            if (
                is_live
                and key != OWN_KEY
                and (header.source in self._live_bytes or len(self._live_bytes) < MOST_COUNTED)
            ):
                self._live_bytes[header.source] = self._live_bytes.get(header.source, 0) + header.record_bytes
        self._held_bytes += len(records)
        self._filled.set()

    def take_live_bytes(self) -> dict[bytes, int]:
        """Return the bytes of live records that came of each source since this was asked last."""
        taken, self._live_bytes = self._live_bytes, {}
        return taken

    async def gather(self, max_values: int, linger_seconds: float, idle_seconds: float) -> list[Arrival]:
        """Return a group: the first records that come and what follows within `linger_seconds`, up to `max_values`.

        Returns an empty list when nothing came for `idle_seconds`. A single record may exceed `max_values`.
        """
        try:
            async with asyncio.timeout(idle_seconds):  # wait_for may lose a cancellation on Python 3.11
                await self._filled.wait()
        except TimeoutError:
            return []
        if self._waiting_values(max_values) < max_values:
            await self._clock.sleep(linger_seconds)
        backlog_values = max_values if not self._live else int(max_values * BACKLOG_SHARE)
        group = self._take(self._backlog, backlog_values)
        # A single old record may be larger than the whole backlog's share; the live ones keep theirs.
        left = max_values - sum(arrival.header.count for arrival in group)
        group = self._take(self._live, max(left, max_values - backlog_values)) + group
        if not self._live and not self._backlog:
            self._filled.clear()
        self._held_bytes -= sum(len(arrival.record) for arrival in group)
        if self._held_bytes < self._queue_bytes:
            self._room.set()
        return group

    def wake(self) -> None:
        """Let whoever gathers return now."""
        self._filled.set()

    def clear(self) -> None:
        """Forget what waits, when a reign is over: whoever sent it holds it still."""
        self._live.clear()
        self._backlog.clear()
        self._live_bytes.clear()
        self._held_bytes = 0
        self._filled.clear()
        self._room.set()

    def _waiting_values(self, enough: int) -> int:
        waiting = 0
        for lane in (self._live, self._backlog):
            for arrival in lane:
                waiting += arrival.header.count
                if waiting >= enough:
                    return waiting
        return waiting

    @staticmethod
    def _take(lane: deque[Arrival], values: int) -> list[Arrival]:
        taken: list[Arrival] = []
        while lane and values > 0:
            arrival = lane.popleft()
            values -= max(1, arrival.header.count)
            taken.append(arrival)
        return taken
