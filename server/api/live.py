"""The live feed: one look into the store twice a second for all who watch, on the active and on the standby alike."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from server.store.errors import StoreAway
from server.store.events import read_last_event, read_problems_since
from server.store.instants import EPOCH
from server.store.inventory import read_items
from server.store.latest import read_item_sources, read_newest_instants, read_since, read_texts_since

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from core.runtime.clock import Clock
    from server.store.database import Connection, Database
    from server.store.problems import Problem

LOOK_SECONDS: Final = 0.5
_SOURCES_SECONDS: Final = 30.0  # how soon an item that moved to another source is followed there
_MAX_WAITING: Final = 64
_JUST_BEFORE: Final = timedelta(microseconds=1)

log = logging.getLogger(__name__)

Point = tuple[int, Any]
"""An instant in ms since 1970 UTC and the value: a number, a text or a document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What came since the last look, cut to what one watcher watches."""

    values: dict[int, list[Point]] = field(default_factory=dict)
    problems: Sequence[Problem] = ()


class Watcher:
    """One stream's end of the feed. When it takes too slowly it is cut off, and its reader starts anew."""

    def __init__(self, items: frozenset[int], *, is_watching_problems: bool) -> None:
        self.items = items
        self.is_watching_problems = is_watching_problems
        self._waiting: asyncio.Queue[News | None] = asyncio.Queue(_MAX_WAITING)

    async def next(self) -> News | None:
        """Return the next news; None when the feed has ended or this watcher was cut off."""
        return await self._waiting.get()

    def tell(self, news: News) -> bool:
        """Queue news; False when the watcher is too far behind."""
        if self._waiting.full():
            self.end()
            return False
        self._waiting.put_nowait(news)
        return True

    def end(self) -> None:
        """Let `next` return None as soon as it is asked."""
        while not self._waiting.empty():
            self._waiting.get_nowait()
        self._waiting.put_nowait(None)


class LiveFeed:
    """Looks into the store while somebody watches, and tells each watcher what is new for him.

    Values that arrive late, older than their source's newest, are not told: graphs fetch those with history.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._watchers: set[Watcher] = set()
        self._is_watched = asyncio.Event()
        self._has_ended = False
        self._sources: dict[int, set[int]] = {}  # by source, the watched items it declares
        self._texts: set[int] = set()
        self._structured: set[int] = set()
        self._known_items: frozenset[int] = frozenset()
        self._sources_at = float("-inf")
        self._marks: dict[int, datetime] = {}
        self._texts_after_us = 0
        self._last_event: int | None = None
        self.looks = 0
        """How often the store was looked into, for tests and curiosity."""

    @property
    def watchers(self) -> int:
        """How many watch."""
        return len(self._watchers)

    @contextmanager
    def watching(self, items: frozenset[int], *, is_watching_problems: bool) -> Iterator[Watcher]:
        """Watch items and perhaps problems within the block."""
        watcher = Watcher(items, is_watching_problems=is_watching_problems)
        if self._has_ended:
            watcher.end()
        self._watchers.add(watcher)
        self._is_watched.set()
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)
            if not self._watchers:
                self._is_watched.clear()

    async def run(self) -> None:
        """Look and tell until cancelled; while the database is away nothing is told and nothing is skipped."""
        is_away = False
        while True:
            if not self._is_watched.is_set():
                self._forget()
                await self._is_watched.wait()
            try:
                await self._look()
            except StoreAway as error:
                if not is_away:
                    log.warning("the live feed waits for the database", extra={"error": str(error)})
                is_away = True
            else:
                is_away = False
                self.looks += 1
            await self._clock.sleep(LOOK_SECONDS)

    def end(self) -> None:
        """End every stream: the server is going down."""
        self._has_ended = True
        for watcher in self._watchers:
            watcher.end()

    def _forget(self) -> None:
        """Begin with the present next time, not with what nobody watched."""
        self._last_event = None
        self._marks = {}
        self._texts_after_us = 0
        self._sources_at = float("-inf")

    async def _look(self) -> None:
        items = frozenset().union(*(watcher.items for watcher in self._watchers))
        async with self._database.connection() as connection:
            await self._follow(connection, items)
            values = await self._read_values(connection)
            problems = await self._read_problems(connection)
        for watcher in tuple(self._watchers):
            news = News(
                values={item: values[item] for item in watcher.items & values.keys()},
                problems=problems if watcher.is_watching_problems else (),
            )
            if (news.values or news.problems) and not watcher.tell(news):
                self._watchers.discard(watcher)

    async def _follow(self, connection: Connection, items: frozenset[int]) -> None:
        """Learn which sources to look at when the watched items changed, and every 30 s."""
        now = self._clock.monotonic()
        if items == self._known_items and now - self._sources_at < _SOURCES_SECONDS:
            return
        declared = await read_items(connection, items)
        self._texts = {item.id for item in declared if item.type != "number"}
        self._structured = {item.id for item in declared if item.type == "structured"}
        self._sources = await read_item_sources(connection, items - self._texts)
        # A mark just before the newest batch: its values are told at once, whatever the source's clock says.
        fresh = await read_newest_instants(connection, self._sources.keys() - self._marks.keys())
        marks = self._marks | {source: at - _JUST_BEFORE for source, at in fresh.items()}
        self._marks = {source: marks.get(source, EPOCH) for source in self._sources}
        self._texts_after_us = self._texts_after_us or self._clock.now_us()
        self._known_items = items
        self._sources_at = now

    async def _read_values(self, connection: Connection) -> dict[int, list[Point]]:
        found: dict[int, list[Point]] = {}
        if self._marks:
            numbers = frozenset[int]().union(*self._sources.values())
            points, self._marks = await read_since(connection, self._marks, numbers)
            columns = (points.items.tolist(), (points.at_us // 1000).tolist(), points.values.tolist())
            for item, at_ms, value in zip(*columns, strict=True):
                found.setdefault(item, []).append((at_ms, value))
        if self._texts:
            for item, at_us, text in await read_texts_since(connection, self._texts_after_us, self._texts):
                value = json.loads(text) if item in self._structured else text
                found.setdefault(item, []).append((at_us // 1000, value))
                self._texts_after_us = max(self._texts_after_us, at_us)
        return found

    async def _read_problems(self, connection: Connection) -> list[Problem]:
        if not any(watcher.is_watching_problems for watcher in self._watchers):
            self._last_event = None
            return []
        if self._last_event is None:
            self._last_event = await read_last_event(connection)
            return []
        problems, self._last_event = await read_problems_since(connection, self._last_event)
        return problems
