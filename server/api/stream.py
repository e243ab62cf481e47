"""The event stream: new values and problems arrive by themselves (server-sent events, HTML standard 9.2)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Annotated, Any

from aiohttp import web
from pydantic import Field, StringConstraints
from pydantic_core import to_json

from server.api.endpoint import Asked, Call, Role, endpoint
from server.api.errors import ApiError
from server.api.items import MAX_ID
from server.api.live import News
from server.api.problems import view_problems
from server.api.security import visitor_of
from server.api.services import Services

PING_SECONDS = 15.0
_WRITE_SECONDS = 10.0
_MAX_ITEMS = 1000


class StreamQuery(Asked):
    """What to watch."""

    items: Annotated[str, StringConstraints(pattern=r"^([0-9]{1,10}(,[0-9]{1,10})*)?$", max_length=11_000)] = Field(
        "", description="Ids of the items to watch, with commas between, at most 1000."
    )
    problems: bool = Field(False, description="Also tell which problems opened or resolved.")


@endpoint("GET", "/stream", role=Role.VIEWER, media="text/event-stream", timeout_seconds=None)
async def stream(call: Call, query: StreamQuery) -> web.StreamResponse:
    """Send events: `values` {item: [[ms, value], …]}, `problems` {"problems": […]}, `ping` every 15 s.

    The stream ends with the session, with the server, and for a reader that does not keep up.
    """
    services = call.services
    if services.live.watchers >= services.terms.max_streams:
        raise ApiError(
            503,
            "too_many_streams",
            f"{services.terms.max_streams} streams are open already.",
            remedy="Close pages that are not looked at.",
            headers={"Retry-After": "30"},
        )
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
    with services.live.watching(_read_items(query.items), is_watching_problems=query.problems) as watcher:
        await answer.prepare(call.request)
        await _send(answer, "ping", {})
        while True:
            try:
                async with asyncio.timeout(PING_SECONDS):
                    news = await watcher.next()
            except TimeoutError:
                if await visitor_of(call.request, services) is None:
                    return answer
                await _send(answer, "ping", {})
                continue
            if news is None:
                return answer
            await _tell(answer, news)


async def _tell(answer: web.StreamResponse, news: News) -> None:
    if news.values:
        await _send(answer, "values", news.values)
    if news.problems:
        views = view_problems(list(news.problems), [])
        await _send(answer, "problems", {"problems": [view.model_dump(exclude={"told"}) for view in views]})


async def _send(answer: web.StreamResponse, event: str, data: dict[Any, Any]) -> None:
    """Write one event; a reader that takes nothing for ten seconds loses the connection."""
    line = b"event: %s\ndata: %s\n\n" % (event.encode(), to_json(data, inf_nan_mode="null"))
    async with asyncio.timeout(_WRITE_SECONDS):
        await answer.write(line)


def _read_items(text: str) -> frozenset[int]:
    items = frozenset(int(word) for word in text.split(",") if word)
    if len(items) > _MAX_ITEMS or any(not 1 <= item <= MAX_ID for item in items):
        raise ApiError(
            400,
            "invalid",
            f"query items: at most {_MAX_ITEMS} ids from 1 to {MAX_ID}",
            remedy="Watch fewer items, by the ids of GET /api/v1/items.",
        )
    return items


def running(services: Services) -> Callable[[web.Application], AsyncIterator[None]]:
    """Return the application's context within which the live feed runs."""

    async def run(application: web.Application) -> AsyncIterator[None]:
        async def end_streams(_: web.Application) -> None:
            services.live.end()

        application.on_shutdown.append(end_streams)
        feed = asyncio.create_task(services.live.run(), name="live feed")
        yield
        feed.cancel()
        with suppress(asyncio.CancelledError):
            await feed

    return run


ENDPOINTS = (stream,)
