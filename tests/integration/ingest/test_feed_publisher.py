"""What the live feed looks up, and what it tells of a group that was committed."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import numpy as np
import pytest

from core.runtime.clock import SystemClock
from core.runtime.counters import Counters
from core.security.authority import SUBSCRIBER, KeyRing
from core.wire.curve import make_keys
from core.wire.feed import Feed
from core.wire.feed_message import topic_of
from core.wire.listener import FeedPlace, Listener
from server.feed.publisher import FeedPublisher
from server.feed.topics import Topics
from server.store.batches import Batches, TextSample
from server.store.errors import StoreAway
from server.store.inventory import ItemDeclaration, ensure_hosts, ensure_items
from tests.support.links import end, peer_of
from tests.support.waiting import PATIENCE_SECONDS, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from numpy.typing import NDArray

    from server.store.database import Database


async def declared(database: Database, *keys: str) -> list[int]:
    async with database.connection() as connection:
        host = (await ensure_hosts(connection, ["h"]))["h"]
        items = [ItemDeclaration(host_id=host, key=key, type="number", unit="", description="") for key in keys]
        ids = (await ensure_items(connection, items)).ids
    return [ids[host, key] for key in keys]


def batch(number: int, items: list[int], values: list[float]) -> Batches:
    """One record, all its samples of one instant."""
    return Batches(
        source_ids=np.array([1], np.int32), boots=np.array([1]), numbers=np.array([number]),
        first_at_us=np.array([number * 1_000_000]), counts=np.array([len(items)]), items=np.array(items, np.int32),
        offsets=np.zeros(len(items), np.int32), values=np.array(values),
    )  # fmt: skip


@asynccontextmanager
async def publishing(database: Database, *prefixes: str) -> AsyncIterator[tuple[FeedPublisher, Listener]]:
    """A publisher, and who listens to these prefixes."""
    keys, own, ring, clock, counters = make_keys(), make_keys(), KeyRing(), SystemClock(), Counters()
    ring.put(peer_of(own, None, role=SUBSCRIBER, name="wallboard"))
    feed = Feed(keys=keys, authority=ring, bind_host="127.0.0.1", port=0, clock=clock, counters=counters)
    publisher = FeedPublisher(feed, database, clock, counters)
    tasks = [asyncio.create_task(feed.run()), asyncio.create_task(publisher.run())]
    try:
        await until(lambda: feed.port != 0)
        place = FeedPlace(endpoint=f"tcp://127.0.0.1:{feed.port}", key=keys.public)
        async with Listener(own, [place], prefixes) as listener:
            await until(lambda: len(feed.prefixes) == len(prefixes), what="the subscription")
            yield publisher, listener
    finally:
        for task in tasks:
            await end(task)


async def learn_while_the_connection_is_cut(database: Database, topics: Topics, items: NDArray[np.int32]) -> None:
    async with database.connection(60) as connection, database.connection(60) as other:
        await other.execute("SELECT pg_terminate_backend(%s, 20000)", (connection.info.backend_pid,))
        await topics.learn(connection, topics.unknown(items))


async def test_what_could_not_be_looked_up_is_asked_for_again(database: Database) -> None:
    """Else who listens while the database is away hears nothing of those items until somebody subscribes anew."""
    (item,) = await declared(database, "load")
    items, topics = np.array([item], np.int32), Topics()
    topics.want(frozenset({topic_of("h", "load").encode()}))
    with pytest.raises(StoreAway):
        await learn_while_the_connection_is_cut(database, topics, items)
    assert topics.unknown(items) == [item]
    async with database.connection() as connection:
        await topics.learn(connection, topics.unknown(items))
    assert topics.wanted(items).tolist() == [True]


async def test_groups_of_any_kind_are_told_as_far_as_somebody_listens(database: Database) -> None:
    """Also one of which nobody wants anything: the publisher, and with it the server, ended at its first."""
    busy, free, line = await declared(database, "cpu.busy", "memory.free", "log.line")
    text = TextSample(source_id=1, boot=1, number=4, item_id=line, at_us=4_000_000, value="hello")
    async with publishing(database, "h/cpu/", "h/log/") as (publisher, listener):
        publisher.offer(batch(1, [free, free], [1.0, 2.0]), [])
        publisher.offer(batch(2, [free, busy, free, busy], [3.0, 4.0, 5.0, 6.0]), [])
        publisher.offer(batch(3, [free], [7.0]), [])
        publisher.offer(None, [text])
        publisher.offer(batch(5, [busy], [8.0]), [text])
        async with asyncio.timeout(PATIENCE_SECONDS):
            told = [await listener.next() for _ in range(4)]
    assert [(each.topic, list(each.values)) for each in told] == [
        ("h/cpu/busy", [4.0, 6.0]),
        ("h/log/line", ["hello"]),
        ("h/cpu/busy", [8.0]),
        ("h/log/line", ["hello"]),
    ]
    assert listener.missed == 0
