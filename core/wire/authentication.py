"""Lets in whom the authority knows: answers ZeroMQ's ZAP requests (RFC 27), and judges the key of every message."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import zmq
import zmq.asyncio

from core.security.authority import LINKED_ROLES
from core.wire.sockets import ZAP_DOMAIN

if TYPE_CHECKING:
    from collections.abc import Collection

    from core.security.authority import Authority, Peer
    from core.wire.refusals import Refusals

_ENDPOINT = "inproc://zeromq.zap.01"
_REQUEST_PARTS = 7  # version, request id, domain, address, routing id, mechanism, the key
_KEY_BYTES = 32
_WAY_IN = "a part of yours is let in by `watchkeep key allow`"
_WAY_BACK = "a part that shall come back needs a new key pair"


class Gate:
    """The one gate of a context's sockets, for peers of some roles. It must be open before they are bound."""

    def __init__(self, authority: Authority, refusals: Refusals, roles: Collection[str] = LINKED_ROLES) -> None:
        self._authority = authority
        self._refusals = refusals
        self._roles = roles
        self._socket: zmq.asyncio.Socket | None = None

    def open(self, context: zmq.asyncio.Context) -> None:
        """Begin to take the context's ZAP requests; `serve` answers them."""
        self._socket = context.socket(zmq.REP)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.bind(_ENDPOINT)

    async def serve(self) -> NoReturn:
        """Answer until cancelled."""
        assert self._socket is not None, "open() comes first"  # noqa: S101 - the order is ours to keep
        while True:
            request = await self._socket.recv_multipart()
            await self._socket.send_multipart(self._answer(request))

    def close(self) -> None:
        """Take no more requests: from now on nobody gets in."""
        if self._socket is not None:
            self._socket.close(linger=0)

    def _answer(self, request: list[bytes]) -> list[bytes]:
        refusal = [b"1.0", request[1] if len(request) > 1 else b"", b"400", b"refused", b"", b""]
        if len(request) != _REQUEST_PARTS:
            return refusal
        _, number, domain, address, _, mechanism, key = request
        if domain != ZAP_DOMAIN.encode() or mechanism != b"CURVE" or len(key) != _KEY_BYTES:
            return refusal
        if self.admit(key, f"a connection from {address.decode('ascii', 'replace')}") is None:
            return refusal
        return [b"1.0", number, b"200", b"OK", key.hex().encode("ascii"), b""]

    def admit(self, key: bytes, what: str) -> Peer | None:
        """Return who holds `key`; None, counted, when nobody does, it was revoked, or its role belongs elsewhere."""
        peer = self._authority.peer(key)
        if peer is None:
            self._refusals.add("unknown_key", key, f"{what} under a key nobody enrolled; {_WAY_IN}")
            return None
        if peer.revoked:
            detail = f"{what} under the revoked key of {peer.name}; {_WAY_BACK}"
            self._refusals.add("revoked_key", key, detail)
            return None
        if peer.role not in self._roles:
            self._refusals.add("role", key, f"{what} under the key of {peer.name}, which is for the role {peer.role}")
            return None
        return peer


def key_of(frame: zmq.Frame) -> bytes:
    """Return the key under which a message part came: the User-Id our gate gave its connection."""
    return bytes.fromhex(str(frame.get("User-Id")))
