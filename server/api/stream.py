"""The event stream: new values and problems arrive by themselves (server-sent events, HTML standard 9.2)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any

from aiohttp import web
from pydantic import Field, StringConstraints
from pydantic_core import to_json

from server.api.endpoint import Asked, Call, Role, endpoint
from server.api.errors import ApiError, not_signed_in
from server.api.items import MAX_ID
from server.api.live import News
from server.api.problems import view_problems
from server.api.scope import hosts_within
from server.api.security import reaches, visitor_of
from server.api.services import Services
from server.store.accounts import Visitor
from server.store.errors import StoreAway
from server.store.inventory import read_items

PING_SECONDS = 15.0
CHECK_SECONDS = 3.0  # how soon a stream follows what became of its session, token, role and groups
_WRITE_SECONDS = 10.0
_MAX_ITEMS = 1000
_NOTHING = News()


class StreamQuery(Asked):
    """What to watch."""

    items: Annotated[str, StringConstraints(pattern=r"^([0-9]{1,10}(,[0-9]{1,10})*)?$", max_length=11_000)] = Field(
        "", description="Ids of the items to watch, with commas between, at most 1000."
    )
    problems: bool = Field(False, description="Also tell which problems opened or resolved.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What a stream's visitor may see at the moment: of what, None is everything."""

    items: frozenset[int] | None
    hosts: frozenset[str] | None


@endpoint("GET", "/stream", role=Role.VIEWER, media="text/event-stream", timeout_seconds=None)
async def stream(call: Call, query: StreamQuery) -> web.StreamResponse:
    """Send events: `values` {item: [[ms, value], …]}, `problems` {"problems": […]}, `ping` every 15 s.

    The stream ends within seconds with the session or token, with the server, and for a reader that does not keep up.
    A changed restriction to host groups is followed as fast.
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
    items = _read_items(query.items)
    if call.visitor is None:
        raise not_signed_in()
    sight = await _look(services, call.visitor, items)
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
    with services.live.watching(items, is_watching_problems=query.problems) as watcher:
        await answer.prepare(call.request)
        await _send(answer, "ping", {})
        pinged_at = checked_at = asyncio.get_running_loop().time()
        while True:
            news: News | None = _NOTHING
            with suppress(TimeoutError):
                async with asyncio.timeout(min(CHECK_SECONDS, PING_SECONDS)):
                    news = await watcher.next()
            if news is None:
                return answer
            now = asyncio.get_running_loop().time()
            if now - checked_at >= CHECK_SECONDS or news is _NOTHING:
                with suppress(StoreAway):  # without the database nothing is told either
                    visitor = await visitor_of(call.request, services)
                    if visitor is None or not reaches(visitor, Role.VIEWER):
                        return answer
                    sight = await _look(services, visitor, items)
                checked_at = now
            if now - pinged_at >= PING_SECONDS:
                await _send(answer, "ping", {})
                pinged_at = now
            await _tell(answer, news, sight)


async def _look(services: Services, visitor: Visitor, items: frozenset[int]) -> Sight:
    """Find out what of the watched items, and whose problems, the visitor may see now. Raises StoreAway."""
    hosts = await hosts_within(services, visitor.groups)
    if hosts is None:
        return Sight(items=None, hosts=None)
    async with services.database.connection() as connection:
        declared = await read_items(connection, items)
    return Sight(items=frozenset(item.id for item in declared if item.host in hosts), hosts=hosts)


async def _tell(answer: web.StreamResponse, news: News, sight: Sight) -> None:
    values = {item: points for item, points in news.values.items() if sight.items is None or item in sight.items}
    problems = [problem for problem in news.problems if sight.hosts is None or problem.host in sight.hosts]
    if values:
        await _send(answer, "values", values)
    if problems:
        views = view_problems(problems, [])
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
