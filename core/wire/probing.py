"""Looks whether a collector is well, from aside: a connection of its own, one question, no session."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import zmq
import zmq.asyncio

from core.wire.codec import MessageError, decode_from_collector, encode
from core.wire.messages import CollectorHeartbeat, Probe
from core.wire.sockets import open_dealer, send_now

if TYPE_CHECKING:
    from core.security.keys import KeyPair
    from core.wire.upstream import Upstream


async def probe(
    context: zmq.asyncio.Context, keys: KeyPair, upstream: Upstream, timeout_seconds: float
) -> CollectorHeartbeat | None:
    """Return the upstream's heartbeat; None when it gives none in time."""
    socket = open_dealer(context, keys, upstream.key)
    try:
        socket.connect(upstream.endpoint)
        send_now(socket, [encode(Probe())])
        async with asyncio.timeout(timeout_seconds):
            answer = decode_from_collector(await socket.recv())
    except (TimeoutError, MessageError, zmq.ZMQError):
        return None
    finally:
        socket.close(linger=0)
    return answer if isinstance(answer, CollectorHeartbeat) else None
