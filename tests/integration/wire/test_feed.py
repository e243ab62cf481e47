"""The live feed over real sockets: by prefix, to subscribers only, and a slow one hurts nobody."""

from __future__ import annotations

import asyncio
import time
from array import array
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import zmq
import zmq.asyncio

from core.runtime.clock import SystemClock
from core.runtime.counters import Counters
from core.security.authority import SUBSCRIBER, KeyRing
from core.wire.curve import make_keys
from core.wire.feed import Feed
from core.wire.feed_message import pack_text, pack_values
from core.wire.limits import MAX_FEED_PREFIX_BYTES, MAX_QUEUED_FEED_MESSAGES
from core.wire.listener import FeedPlace, Listener, ListenerRefused
from tests.support.links import End, end, peer_of
from tests.support.links import running as links_running
from tests.support.waiting import PATIENCE_SECONDS, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from core.security.keys import KeyPair
    from core.wire.feed_message import Told


LISTENING_SECONDS = 100.0
"""Longer than what is waited for while somebody listens."""


class Site:
    """A feed, and the ring that says who may listen."""

    def __init__(self) -> None:
        self.keys = make_keys()
        self.ring = KeyRing()
        self.counters = Counters()
        self.feed = Feed(
            keys=self.keys, authority=self.ring, bind_host="127.0.0.1", port=0, clock=SystemClock(),
            counters=self.counters,
        )  # fmt: skip
        self._told = 0

    @property
    def place(self) -> FeedPlace:
        return FeedPlace(endpoint=f"tcp://127.0.0.1:{self.feed.port}", key=self.keys.public)

    def subscriber(self, role: str = SUBSCRIBER) -> KeyPair:
        keys = make_keys()
        self.ring.put(peer_of(keys, None, role=role, name="wallboard"))
        return keys

    def listener(self, *prefixes: str, keys: KeyPair | None = None) -> Listener:
        return Listener(keys or self.subscriber(), [self.place], prefixes)

    def tell(self, topic: str, *values: float) -> None:
        """Tell values of one topic, a message, as the server does."""
        body = pack_values(self._told, array("q", range(len(values))).tobytes(), array("d", values).tobytes())
        self._told += len(values)
        self.feed.publish(topic.encode(), body)

    async def subscribed(self, *prefixes: str) -> None:
        wanted = {prefix.encode() for prefix in prefixes}
        await until(lambda: wanted <= self.feed.prefixes, 20, f"subscriptions to {prefixes}")

    def refused(self, kind: str) -> float:
        return self.counters.get(f"link.refused.{kind}")


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = Site()
    task = asyncio.create_task(made.feed.run())
    await until(lambda: made.feed.port != 0)
    yield made
    await end(task)


async def heard(listener: Listener) -> Told:
    async with asyncio.timeout(LISTENING_SECONDS):
        return await listener.next()


async def all_heard(listener: Listener) -> int:
    """Hear until nothing comes for a second; return how many values that were."""
    values = 0
    while True:
        try:
            async with asyncio.timeout(1):
                values += len((await listener.next()).values)
        except TimeoutError:
            return values


@asynccontextmanager
async def raw(site: Site, keys: KeyPair) -> AsyncIterator[zmq.asyncio.Socket]:
    """A subscriber of another program: plain ZeroMQ."""
    context = zmq.asyncio.Context()
    socket = context.socket(zmq.XSUB)
    socket.curve_publickey, socket.curve_secretkey = keys.public, keys.secret
    socket.curve_serverkey = site.keys.public
    socket.linger = 0
    socket.connect(site.place.endpoint)
    try:
        yield socket
    finally:
        context.destroy(linger=0)


async def topic_heard(socket: zmq.asyncio.Socket) -> bytes:
    async with asyncio.timeout(LISTENING_SECONDS):
        return (await socket.recv_multipart())[0]


async def test_a_subscriber_hears_its_prefixes_and_nothing_else(site: Site) -> None:
    async with site.listener("db1/cpu/", "web") as listener:
        await site.subscribed("db1/cpu/", "web")
        site.tell("db1/memory/free", 1.0)
        site.tell("db1/cpu/busy", 2.0, 3.0)
        site.tell("db10/cpu/busy", 4.0)
        site.feed.publish(b"web1/log/line[a]", pack_text(0, 5, "hello"))
        first, second = await heard(listener), await heard(listener)
    assert (first.topic, list(first.values)) == ("db1/cpu/busy", [2.0, 3.0])
    assert (second.topic, second.values, list(second.instants)) == ("web1/log/line[a]", ("hello",), [5])


@pytest.mark.trial("R8")
async def test_subscriptions_change_and_connections_break_and_still_only_what_matches_is_heard(site: Site) -> None:
    keys = site.subscriber()
    async with raw(site, keys) as socket:
        await socket.send(b"\1db1/")
        await site.subscribed("db1/")
        site.tell("db1/a/b", 1.0)
        await socket.send(b"\0db1/")
        await socket.send(b"\1db2/")
        await until(lambda: site.feed.prefixes == {b"db2/"}, what="the changed subscription")
        site.tell("db1/a/b", 2.0)
        site.tell("db2/a/b", 3.0)
        topics = [await topic_heard(socket), await topic_heard(socket)]
    await until(lambda: not site.feed.prefixes, what="the end of a broken subscriber")
    site.tell("db2/a/b", 4.0)
    async with raw(site, keys) as socket:
        await socket.send(b"\1db2/")
        await site.subscribed("db2/")
        site.tell("db1/a/b", 5.0)
        site.tell("db2/a/b", 6.0)
        topics.append(await topic_heard(socket))
    assert topics == [b"db1/a/b", b"db2/a/b", b"db2/a/b"]


@pytest.mark.trial("S-6")
async def test_only_subscribers_are_let_in(site: Site) -> None:
    for keys, kind in ((make_keys(), "unknown_key"), (site.subscriber(role="agent"), "role")):
        async with site.listener("db1", keys=keys) as listener:
            with pytest.raises(ListenerRefused, match="key allow --role subscriber"):
                await heard(listener)
        assert site.refused(kind) > 0
    assert not site.feed.prefixes


@pytest.mark.trial("S-6")
async def test_a_subscriber_has_no_link_to_a_collector() -> None:
    keys = make_keys()
    collecting = End([peer_of(keys, None, role=SUBSCRIBER)])
    async with links_running(collecting):
        context = zmq.asyncio.Context()
        try:
            socket = context.socket(zmq.DEALER)
            socket.curve_publickey, socket.curve_secretkey = keys.public, keys.secret
            socket.curve_serverkey = collecting.keys.public
            socket.connect(collecting.upstream.endpoint)
            await until(lambda: collecting.refused("role") > 0, what="the refusal")
        finally:
            context.destroy(linger=0)


@pytest.mark.trial("S-6")
async def test_a_revoked_subscriber_hears_nothing_more_and_the_others_come_again(site: Site) -> None:
    good, bad = site.subscriber(), site.subscriber()
    async with site.listener("a", keys=good) as listener, raw(site, bad) as outcast:
        await outcast.send(b"\1a")
        await outcast.send(b"\1b")
        await site.subscribed("a", "b")
        site.ring.put(replace(peer_of(bad, None, role=SUBSCRIBER), revoked=True))
        hearing = asyncio.create_task(heard(listener))  # ZeroMQ subscribes anew only while somebody receives
        await until(lambda: site.refused("revoked_key") > 0 and site.feed.prefixes == {b"a"}, what="the good one alone")
        site.tell("a", 1.0)
        assert list((await hearing).values) == [1.0]
        assert not await outcast.poll(0)


@pytest.mark.trial("R7")
async def test_a_subscriber_that_does_not_read_hurts_nobody_and_is_told_what_it_missed(site: Site) -> None:
    """Twice what all queues on the way hold; the one beside it hears all, and telling never waits."""
    async with site.listener("load") as slow, site.listener("loa") as quick:
        await site.subscribed("load", "loa")
        values, told, quickly_heard = [0.5] * 512, 0, 0
        for _ in range(4 * MAX_QUEUED_FEED_MESSAGES):
            site.tell("load", *values)
            told += len(values)
            quickly_heard += len((await heard(quick)).values)
        assert (quick.missed, quickly_heard) == (0, told)
        slowly_heard = await all_heard(slow)
        while slowly_heard + slow.missed < told:
            site.tell("load", *values)  # what was missed shows with the next that comes
            told += len(values)
            slowly_heard += await all_heard(slow)
        assert slow.missed > 0


@pytest.mark.trial("S-6")
async def test_garbage_is_counted_and_a_huge_prefix_ends_the_connection(site: Site) -> None:
    async with raw(site, site.subscriber()) as socket, site.listener("a") as listener:
        await site.subscribed("a")
        await socket.send(b"\2what")
        await until(lambda: site.refused("malformed_message") > 0, what="the refusal")
        await socket.send(b"\1" + b"x" * (MAX_FEED_PREFIX_BYTES + 1))
        began = time.monotonic()
        site.tell("a", 1.0)
        assert list((await heard(listener)).values) == [1.0]
        assert time.monotonic() - began < PATIENCE_SECONDS
        assert site.feed.prefixes == {b"a"}
