"""Opens the web port: where the application meets the network, with bounds on idle and on stopping."""

from __future__ import annotations

import asyncio
import errno
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import web

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable


MAX_LINE_BYTES: Final = 64 << 10
"""A request's first line: an export may name a hundred patterns of hosts and items in it."""


class PortUnusable(Exception):
    """The address cannot be listened on; the message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortTerms:
    """Where to listen. A connection that sends no whole request head for `idle_seconds` is closed.

    `guard` may stand before the protocol of each connection.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    tls: ssl.SSLContext | None = None
    idle_seconds: float = 60.0
    stop_seconds: float = 3.0
    guard: Callable[[Callable[[], asyncio.Protocol]], Callable[[], asyncio.Protocol]] | None = None


@asynccontextmanager
async def open_port(application: web.Application, terms: PortTerms) -> AsyncIterator[int]:
    """Serve within the block and yield the real port (`port` 0 lets the system choose).

    At the block's end streams end at once and running requests get `stop_seconds`. A request whose sender has gone is
    cancelled. Raises PortUnusable.
    """
    runner = web.AppRunner(
        application,
        access_log=None,
        keepalive_timeout=terms.idle_seconds,
        shutdown_timeout=terms.stop_seconds,
        handler_cancellation=True,
        max_line_size=MAX_LINE_BYTES,
    )
    await runner.setup()
    try:
        if terms.guard is not None:
            async with _listening(runner, terms, terms.guard) as port:
                yield port
            return
        site = web.TCPSite(runner, terms.host, terms.port, ssl_context=terms.tls)
        try:
            await site.start()
        except OSError as error:
            raise PortUnusable(_explain(error, terms)) from error
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _listening(
    runner: web.AppRunner,
    terms: PortTerms,
    guard: Callable[[Callable[[], asyncio.Protocol]], Callable[[], asyncio.Protocol]],
) -> AsyncIterator[int]:
    """Listen by ourselves, since aiohttp's own site takes no guard."""
    assert runner.server is not None  # noqa: S101 - it was set up
    make = guard(runner.server)
    try:
        server = await asyncio.get_running_loop().create_server(make, terms.host, terms.port, ssl=terms.tls)
    except OSError as error:
        raise PortUnusable(_explain(error, terms)) from error
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()


def _explain(error: OSError, terms: PortTerms) -> str:
    where = f"{terms.host}:{terms.port}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is in use by another program: stop it, or choose another port with --port"
    if error.errno == errno.EACCES:
        return f"{where} needs rights this user lacks: choose a port of 1024 or above with --port"
    return f"{where} cannot be listened on: {error.strerror or error}"
