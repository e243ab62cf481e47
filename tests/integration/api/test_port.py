"""The web port on the network."""

from __future__ import annotations

import asyncio
import time

import pytest
from aiohttp import web

from server.api.port import PortTerms, PortUnusable, open_port


async def test_a_taken_port_is_named_with_a_remedy() -> None:
    async with open_port(web.Application(), PortTerms(port=0)) as port:
        with pytest.raises(PortUnusable, match=f"{port} is in use.*--port"):
            async with open_port(web.Application(), PortTerms(port=port)):
                pass


@pytest.mark.trial("S-10")
@pytest.mark.parametrize(("letters", "status"), [(60_000, 404), (70_000, 400)])
async def test_a_first_line_may_be_long_and_what_is_longer_is_refused_as_described(letters: int, status: int) -> None:
    async with open_port(web.Application(), PortTerms(port=0)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /?a=" + b"a" * letters + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        head, _, _ = (await asyncio.wait_for(reader.read(), 60)).partition(b"\r\n\r\n")
        writer.close()
    assert head.split(b" ", 2)[1] == b"%d" % status
    assert b"Content-Type: text/plain" in head


@pytest.mark.trial("S-10")
async def test_connections_that_send_no_whole_request_are_closed() -> None:
    async with open_port(web.Application(), PortTerms(port=0, idle_seconds=0.3)) as port:
        for sent in (b"", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            assert await asyncio.wait_for(reader.read(), 60) == b""
            writer.close()


async def test_a_request_whose_sender_has_gone_is_cancelled() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def handler(_: web.Request) -> web.Response:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        return web.Response()

    application = web.Application()
    application.router.add_get("/", handler)
    async with open_port(application, PortTerms(port=0)) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.wait_for(begun.wait(), 60)
        writer.close()
        await asyncio.wait_for(ended.wait(), 50)


async def test_stopping_does_not_wait_long_for_a_request_that_hangs() -> None:
    begun = asyncio.Event()

    async def handler(_: web.Request) -> web.Response:
        begun.set()
        await asyncio.sleep(60)
        return web.Response()

    application = web.Application()
    application.router.add_get("/", handler)
    async with open_port(application, PortTerms(port=0, stop_seconds=0.2)) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.wait_for(begun.wait(), 60)
        stopped_at = time.monotonic()
    assert time.monotonic() - stopped_at < 30
    writer.close()
