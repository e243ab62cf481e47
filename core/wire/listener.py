"""A subscriber of the live feed: listens to several servers at once, of which the active one speaks."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import zmq
import zmq.asyncio

from core.wire.feed_message import FeedMessageError, unpack
from core.wire.sockets import HANDSHAKE_FAILURES, open_listening, read_event

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType

    from core.security.keys import KeyPair
    from core.wire.feed_message import Told

_FOREIGN: Final = "what answers there is no feed of Watchkeep, or has another key than was named"


class ListenerRefused(Exception):
    """A feed does not let this key in; the text names the feed and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedPlace:
    """Where a feed is: tcp://HOST:PORT and its server's public key (32 bytes)."""

    endpoint: str
    key: bytes


class Listener:
    """An async context within which `next` returns what is told.

    `missed` counts values that were told while this subscriber did not keep up.
    """

    def __init__(self, keys: KeyPair, places: Sequence[FeedPlace], prefixes: Iterable[str]) -> None:
        self.missed = 0
        self._keys = keys
        self._places = places
        self._prefixes = [prefix.encode() for prefix in prefixes]
        self._told: dict[tuple[int, str], int] = {}
        self._context: zmq.asyncio.Context | None = None
        self._poller = zmq.asyncio.Poller()
        self._sockets: list[zmq.asyncio.Socket] = []
        self._monitors: dict[zmq.asyncio.Socket, FeedPlace] = {}

    async def __aenter__(self) -> Self:
        """Connect, and again whenever a connection breaks."""
        self._context = zmq.asyncio.Context()
        for place in self._places:
            socket = open_listening(self._context, self._keys, place.key)
            monitor = socket.get_monitor_socket(HANDSHAKE_FAILURES)
            for prefix in self._prefixes:
                socket.subscribe(prefix)
            socket.connect(place.endpoint)
            self._sockets.append(socket)
            self._monitors[monitor] = place
            for each in (socket, monitor):
                self._poller.register(each, zmq.POLLIN)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close everything at once."""
        for socket, monitor in zip(self._sockets, self._monitors, strict=True):
            socket.disable_monitor()
            monitor.close(linger=0)
            socket.close(linger=0)
        if self._context is not None:
            self._context.destroy(linger=0)

    async def next(self) -> Told:
        """Return what is told next; waits as long as that takes. Raises ListenerRefused."""
        while True:
            ready = dict(await self._poller.poll())
            for monitor, place in self._monitors.items():
                if monitor in ready:
                    event, _ = read_event(await monitor.recv_multipart())
                    raise ListenerRefused(f"the feed at {place.endpoint}: {_why(event)}")
            for number, socket in enumerate(self._sockets):
                if socket in ready:
                    told = self._read(number, await socket.recv_multipart())
                    if told is not None:
                        return told
            await asyncio.sleep(0)

    def _read(self, number: int, parts: list[bytes]) -> Told | None:
        try:
            told = unpack(*parts) if len(parts) == 2 else None
        except FeedMessageError:
            return None
        if told is not None:
            place = (number, told.topic)
            expected = self._told.get(place, told.before)
            self.missed += max(0, told.before - expected)  # less: the feed began anew
            self._told[place] = told.before + len(told.instants)
        return told


def _why(event: int) -> str:
    if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
        return "this key may not listen; let it in with `watchkeep key allow --role subscriber --name NAME KEY`"
    return _FOREIGN
