"""A real receiver of webhooks: it takes notices, and fails, hangs or redirects when told to."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


@dataclass(frozen=True, kw_only=True)
class Received:
    """One POST as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def key(self) -> str:
        return self.headers["Idempotency-Key"]


@dataclass
class WebhookReceiver:
    """`answers` are used up one a request, then every request is taken with 204; "hang" never answers."""

    port: int = 0
    received: list[Received] = field(default_factory=list)
    answers: list[web.Response | str] = field(default_factory=list)
    hung_paths: set[str] = field(default_factory=set)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    on_receive: Callable[[Received], None] = lambda _: None

    def url(self, path: str = "/hook", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    async def take(self, request: web.Request) -> web.StreamResponse:
        found = Received(path=request.path_qs, headers=dict(request.headers), body=await request.read())
        self.received.append(found)
        self.on_receive(found)
        answer = self.answers.pop(0) if self.answers else web.Response(status=204)
        if answer == "hang" or request.path in self.hung_paths:
            await self.release.wait()
            answer = web.Response(status=204)
        if isinstance(answer, str):
            if answer == "break":
                assert request.transport is not None
                request.transport.abort()
            answer = web.Response(status=204)
        return answer


@asynccontextmanager
async def open_receiver() -> AsyncIterator[WebhookReceiver]:
    receiver = WebhookReceiver()
    application = web.Application()
    application.router.add_route("*", "/{rest:.*}", receiver.take)
    runner = web.AppRunner(application, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.port = runner.addresses[0][1]
    try:
        yield receiver
    finally:
        receiver.release.set()
        await runner.cleanup()
