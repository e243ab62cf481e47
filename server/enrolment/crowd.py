"""Keeps strangers' connections few: an open port must not cost the rest of the process its file descriptors."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[[], asyncio.Protocol]

MOST: Final = 256
MOST_OF_AN_ADDRESS: Final = 16


class Crowd:
    """Invariant: at most `most` connections are open, of one address at most `most_of_an_address`; others are cut."""

    def __init__(
        self,
        make: Make,
        count_refusal: Callable[[str, str], None],
        *,
        most: int = MOST,
        most_of_an_address: int = MOST_OF_AN_ADDRESS,
    ) -> None:
        self._make = make
        self._count_refusal = count_refusal
        self._most = most
        self._most_of_an_address = most_of_an_address
        self._open: Counter[str] = Counter()

    def __call__(self) -> asyncio.Protocol:
        """Make the protocol of a connection that has just been accepted."""
        return _Guest(self, self._make())

    def enter(self, address: str) -> bool:
        """Count a connection; False, and counted as refused, when there are too many."""
        if self._open.total() >= self._most or self._open[address] >= self._most_of_an_address:
            self._count_refusal("crowd", f"too many connections, from {address}")
            return False
        self._open[address] += 1
        return True

    def leave(self, address: str) -> None:
        """Count a connection no more."""
        self._open[address] -= 1
        if self._open[address] <= 0:
            del self._open[address]


class _Guest(asyncio.Protocol):
    """One connection: hands everything on to `inner` once it was let in."""

    def __init__(self, crowd: Crowd, inner: asyncio.Protocol) -> None:
        self._crowd = crowd
        self._inner = inner
        self._address: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if peer else "unknown"
        if not self._crowd.enter(address):
            transport.close()
            return
        self._address = address
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._address is not None:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._address is not None else None

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._address is not None:
            self._crowd.leave(self._address)
            self._inner.connection_lost(exc)
