"""Tells the live feed what was committed: only what somebody listens to, in a bounded share of the server's time."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

import numpy as np

from core.runtime.logging import Log
from core.wire.feed_message import pack_structured, pack_text, pack_values
from core.wire.limits import MAX_FEED_VALUES
from server.feed.topics import Topics
from server.store.errors import StoreAway

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from core.runtime.clock import Clock
    from core.runtime.counters import Counters
    from core.wire.feed import Feed
    from server.store.batches import Batches, TextSample
    from server.store.database import Database

_MAX_WAITING: Final = 64
"""Groups; what is committed while so many wait is not told."""
_SHARE: Final = 0.25
"""Of the server's time; who subscribes to everything shall not slow down storing."""
_MESSAGES_AT_ONCE: Final = 100

log = Log("feed")


@dataclass(frozen=True, slots=True)
class _Committed:
    """What one transaction stored."""

    batches: Batches | None
    texts: Sequence[TextSample]


class FeedPublisher:
    """Stands between ingest and the feed's socket. Without a subscriber it costs nothing."""

    def __init__(self, feed: Feed, database: Database, clock: Clock, counters: Counters) -> None:
        self._feed = feed
        self._database = database
        self._clock = clock
        self._counters = counters
        self._topics = Topics()
        self._told: defaultdict[bytes, int] = defaultdict(int)
        self._waiting: asyncio.Queue[_Committed] = asyncio.Queue(_MAX_WAITING)

    def offer(self, batches: Batches | None, texts: Sequence[TextSample]) -> None:
        """Have these told soon if somebody listens; when too much waits they are dropped and counted. Never waits."""
        if not self._feed.prefixes or (batches is None and not texts):
            return
        try:
            self._waiting.put_nowait(_Committed(batches, texts))
        except asyncio.QueueFull:
            self._counters.add("feed.dropped_groups")

    async def run(self) -> NoReturn:
        """Tell what was offered, until cancelled."""
        while True:
            committed = await self._waiting.get()
            began = self._clock.monotonic()
            await self._tell(committed)
            await self._rest(began)

    async def _tell(self, committed: _Committed) -> None:
        self._topics.want(self._feed.prefixes)
        texts = np.array([text.item_id for text in committed.texts], np.int32)
        items = texts if committed.batches is None else np.concatenate([committed.batches.items, texts])
        try:
            while unknown := self._topics.unknown(items):
                async with self._database.connection() as connection:
                    await self._topics.learn(connection, unknown)
        except StoreAway as error:  # what is known is told all the same
            self._counters.add("feed.failed_lookups")
            log.warning("the feed could not look up new items and leaves them out of a group", error=error)
        began = self._clock.monotonic()
        for number, (topic, count, body) in enumerate(self._messages(committed, texts), 1):
            self._feed.publish(topic, body)
            self._told[topic] += count
            if number % _MESSAGES_AT_ONCE == 0:
                await self._rest(began)
                began = self._clock.monotonic()

    def _messages(
        self, committed: _Committed, texts: np.ndarray[tuple[int], np.dtype[np.int32]]
    ) -> Iterator[tuple[bytes, int, bytes]]:
        """Yield (topic, values, body) of everything somebody listens to, each item's in the order they were stored."""
        if committed.batches is not None:
            yield from self._values(committed.batches)
        for place in np.flatnonzero(self._topics.wanted(texts)).tolist():
            text = committed.texts[place]
            topic = self._topics.topic(text.item_id)
            pack = pack_structured if text.is_structured else pack_text
            yield topic, 1, pack(self._told[topic], text.at_us, text.value)

    def _values(self, batches: Batches) -> Iterator[tuple[bytes, int, bytes]]:
        places = np.flatnonzero(self._topics.wanted(batches.items))
        places = places[np.argsort(batches.items[places], kind="stable")]
        items, instants, values = batches.items[places], batches.instants()[places], batches.values[places]
        begins = np.flatnonzero(np.diff(items, prepend=-1))
        ends = np.append(begins, len(items))[1:]
        for first, end in zip(begins.tolist(), ends.tolist(), strict=True):
            topic = self._topics.topic(int(items[first]))
            for begin in range(first, end, MAX_FEED_VALUES):
                part = slice(begin, min(begin + MAX_FEED_VALUES, end))
                body = pack_values(self._told[topic], instants[part].tobytes(), values[part].tobytes())
                yield topic, part.stop - begin, body

    async def _rest(self, began: float) -> None:
        """Leave the others their share of the time since `began`."""
        await self._clock.sleep((self._clock.monotonic() - began) * (1 / _SHARE - 1))
