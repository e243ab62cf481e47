"""Makes the sockets of a link with the options every one of them needs."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, cast

import zmq
import zmq.asyncio

from core.wire.limits import (
    MAX_CONTROL_BYTES,
    MAX_FEED_PREFIX_BYTES,
    MAX_QUEUED_CONTROLS,
    MAX_QUEUED_FEED_MESSAGES,
    MAX_QUEUED_FRAMES,
    MAX_RECORD_BYTES,
)

if TYPE_CHECKING:
    import asyncio

    from core.security.keys import KeyPair

ZAP_DOMAIN: Final = "watchkeep"
# ZeroMQ cuts the connection of who exceeds these; between the limit and twice the limit we refuse and count ourselves.
_LARGEST_CONTROL: Final = 2 * MAX_CONTROL_BYTES
_LARGEST_DATA: Final = 2 * MAX_RECORD_BYTES
_HANDSHAKE_MILLISECONDS: Final = 5000
_BACKLOG: Final = 1024  # sources that come back all at once
HANDSHAKE_FAILURES: Final = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
LOSSES: Final = HANDSHAKE_FAILURES | zmq.EVENT_CLOSED | zmq.EVENT_DISCONNECTED
_EVENT: Final = struct.Struct("=Hi")


def open_dealer(context: zmq.asyncio.Context, keys: KeyPair, upstream_key: bytes) -> zmq.asyncio.Socket:
    """Return a source's control socket, not connected yet; it does not reconnect: a lost session starts anew."""
    return _open_source(context, zmq.DEALER, keys, upstream_key)


def open_publishing(context: zmq.asyncio.Context, keys: KeyPair, upstream_key: bytes) -> zmq.asyncio.Socket:
    """Return a source's data socket, not connected yet; a full pipe says EAGAIN instead of dropping."""
    socket = _open_source(context, zmq.XPUB, keys, upstream_key)
    socket.setsockopt(zmq.XPUB_NODROP, 1)
    socket.setsockopt(zmq.SNDHWM, MAX_QUEUED_FRAMES)
    socket.setsockopt(zmq.RCVHWM, 16)
    return socket


def open_router(context: zmq.asyncio.Context, keys: KeyPair) -> zmq.asyncio.Socket:
    """Return a collector's control socket, not bound yet; sending to nobody is an error, not a silent drop."""
    socket = _open_collecting(context, zmq.ROUTER, keys)
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
    socket.setsockopt(zmq.MAXMSGSIZE, _LARGEST_CONTROL)
    socket.setsockopt(zmq.RCVHWM, MAX_QUEUED_CONTROLS)
    socket.setsockopt(zmq.SNDHWM, MAX_QUEUED_CONTROLS)
    return socket


def open_subscribing(context: zmq.asyncio.Context, keys: KeyPair) -> zmq.asyncio.Socket:
    """Return a collector's data socket, not bound yet, subscribed to everything."""
    socket = _open_collecting(context, zmq.SUB, keys)
    socket.setsockopt(zmq.MAXMSGSIZE, _LARGEST_DATA)
    socket.setsockopt(zmq.RCVHWM, MAX_QUEUED_FRAMES)
    socket.setsockopt(zmq.SUBSCRIBE, b"")
    return socket


def open_feed(context: zmq.asyncio.Context, keys: KeyPair) -> zmq.asyncio.Socket:
    """Return the live feed's socket, not bound yet; it drops for whom it cannot send to."""
    socket = _open_collecting(context, zmq.XPUB, keys)
    socket.setsockopt(zmq.XPUB_VERBOSE, 1)  # not only the first of a prefix: each has its subscriber's key
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_FEED_PREFIX_BYTES + 1)
    socket.setsockopt(zmq.SNDHWM, MAX_QUEUED_FEED_MESSAGES)
    socket.setsockopt(zmq.RCVHWM, MAX_QUEUED_CONTROLS)
    return socket


def open_listening(context: zmq.asyncio.Context, keys: KeyPair, feed_key: bytes) -> zmq.asyncio.Socket:
    """Return a subscriber's socket for one feed, not connected yet; it connects again by itself."""
    socket = _open_source(context, zmq.SUB, keys, feed_key)
    socket.setsockopt(zmq.RECONNECT_IVL, 100)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, 5000)
    socket.setsockopt(zmq.RCVHWM, MAX_QUEUED_FEED_MESSAGES)
    return socket


def bind(socket: zmq.asyncio.Socket, host: str, port: int) -> int:
    """Bind to an address of this machine and return the port, chosen when it is 0. Raises zmq.ZMQError."""
    if ":" in host:
        socket.setsockopt(zmq.IPV6, 1)
        host = f"[{host}]"
    socket.bind(f"tcp://{host}:{port or '*'}")
    return int(socket.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2].rstrip("\0"))


def send_now(socket: zmq.asyncio.Socket, parts: list[bytes]) -> None:
    """Send without waiting. Raises zmq.Again when the pipe is full, ZMQError when nobody is there."""
    # With NOBLOCK the future is done when it is returned; the stubs know it only as an awaitable.
    cast("asyncio.Future[object]", socket.send_multipart(parts, zmq.NOBLOCK)).result()


def read_event(parts: list[bytes]) -> tuple[int, int]:
    """Return (event, value) of a monitor's message; zmq_socket_monitor(3)."""
    event, value = _EVENT.unpack_from(parts[0])
    return event, value


def _open_source(context: zmq.asyncio.Context, kind: int, keys: KeyPair, upstream_key: bytes) -> zmq.asyncio.Socket:
    socket = _open(context, kind, keys)
    socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.public)
    socket.setsockopt(zmq.CURVE_SERVERKEY, upstream_key)
    socket.setsockopt(zmq.RECONNECT_IVL, -1)
    socket.setsockopt(zmq.MAXMSGSIZE, _LARGEST_CONTROL)
    socket.setsockopt(zmq.SNDHWM, MAX_QUEUED_CONTROLS)
    socket.setsockopt(zmq.RCVHWM, MAX_QUEUED_CONTROLS)
    return socket


def _open_collecting(context: zmq.asyncio.Context, kind: int, keys: KeyPair) -> zmq.asyncio.Socket:
    socket = _open(context, kind, keys)
    socket.setsockopt(zmq.CURVE_SERVER, 1)
    socket.setsockopt_string(zmq.ZAP_DOMAIN, ZAP_DOMAIN)
    socket.setsockopt(zmq.BACKLOG, _BACKLOG)
    return socket


def _open(context: zmq.asyncio.Context, kind: int, keys: KeyPair) -> zmq.asyncio.Socket:
    socket = context.socket(kind)
    socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.HANDSHAKE_IVL, _HANDSHAKE_MILLISECONDS)
    socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
    socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, 30)
    return socket
