"""An enrolment port over a real database and real HTTP, newcomers that join there, and a machine in the middle."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
import psycopg
from aiohttp import web

from agent.join import main
from core.runtime.clock import SystemClock
from core.security.enrolment import PATH, Way
from core.wire.curve import make_keys
from server.api.port import PortTerms, open_port
from server.enrolment.crowd import Crowd
from server.enrolment.desk import EnrolmentDesk
from server.enrolment.exchange import Exchange
from server.enrolment.port import make_enrolment_application
from server.enrolment.terms import EnrolmentTerms, Entrance, announce
from server.store.database import Database
from server.store.enrolment import TokenTerms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from pathlib import Path

    from server.enrolment.desk import MadeToken
    from server.store.database import DatabaseOptions


class WrongClock(SystemClock):
    """The machine's clock, so many seconds off."""

    def __init__(self, off_by_seconds: float) -> None:
        self._off_by_us = round(off_by_seconds * 1_000_000)

    def now_us(self) -> int:
        return super().now_us() + self._off_by_us


@dataclass
class Entry:
    """The port, the desk behind it, and what was refused."""

    url: str
    dsn: str
    desk: EnrolmentDesk
    terms: EnrolmentTerms
    refused: Counter[str] = field(default_factory=Counter)

    async def token(self, **terms: Any) -> MadeToken:
        given: dict[str, Any] = {
            "host": None, "templates": ["linux-host"], "groups": [], "proxy_group": "default", "lifetime_seconds": 3600,
        }  # fmt: skip
        return await self.desk.create_token(TokenTerms(**given | terms), by="tester")

    async def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        connection = await psycopg.AsyncConnection.connect(self.dsn, autocommit=True)
        async with connection:
            cursor = await connection.execute(statement.encode(), values or None)
            return [] if cursor.description is None else await cursor.fetchall()

    async def post(self, body: bytes) -> tuple[int, dict[str, str], Any]:
        async with aiohttp.ClientSession() as browser, browser.post(self.url + PATH, data=body) as answer:
            return answer.status, dict(answer.headers), json.loads(await answer.read())


@asynccontextmanager
async def entry(
    options: DatabaseOptions,
    *,
    by_approval: bool = True,
    off_by_seconds: float = 0.0,
    asks_a_minute: int = 10_000,
    idle_seconds: float = 15.0,
) -> AsyncIterator[Entry]:
    """Open a port until the block ends; it sends newcomers to a proxy on the very host they asked at."""
    terms = EnrolmentTerms(ways=(Way(endpoint="tcp://*:7701", key=make_keys().public),), by_approval=by_approval)
    clock = WrongClock(off_by_seconds)
    refused: Counter[str] = Counter()

    def count(kind: str, _detail: str) -> None:
        refused[kind] += 1

    async with Database(options) as database:
        exchange = Exchange(database=database, terms=terms, clock=clock, count_refusal=count)
        application = make_enrolment_application(exchange, clock, count, asks_a_minute=asks_a_minute)
        terms_of_port = PortTerms(
            host="127.0.0.1", port=0, idle_seconds=idle_seconds, guard=lambda make: Crowd(make, count)
        )
        async with open_port(application, terms_of_port) as port:
            url = f"http://127.0.0.1:{port}"
            entrance = Entrance(url=url, fingerprint=terms.fingerprint, by_approval=by_approval, server="one")
            async with database.connection() as connection:
                await announce(connection, entrance)
            yield Entry(url, options.dsn, EnrolmentDesk(database), terms, refused)


async def join(url: str, token: str | None, folder: Path, *words: str, name: str) -> int:
    """Join as `watchkeep-agent join … --no-start` does; return the exit code."""
    given = [url, *([] if token is None else [token]), "--data", str(folder), "--name", name, "--no-start", *words]
    return await asyncio.to_thread(main, given)


@dataclass
class Middle:
    """A machine between newcomer and server: it hears everything, and may change it."""

    url: str
    requests: list[bytes] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)


@asynccontextmanager
async def in_the_middle(
    door: Entry,
    *,
    request: Callable[[bytes], bytes] = bytes,
    answer: Callable[[bytes], bytes] = bytes,
    loses_answers: bool = False,
) -> AsyncIterator[Middle]:
    """Stand between until the block ends: POSTs pass through `request`, their answers through `answer`."""
    middle = Middle("")

    async def relay(asked: web.Request) -> web.StreamResponse:
        body = await asked.read()
        async with aiohttp.ClientSession() as browser:
            if asked.method == "GET":
                async with browser.get(door.url + asked.path) as found:
                    return web.Response(status=found.status, body=await found.read())
            middle.requests.append(body)
            async with browser.post(door.url + asked.path, data=request(body)) as found:
                middle.answers.append(await found.read())
                if loses_answers:
                    assert asked.transport is not None
                    asked.transport.abort()
                return web.Response(status=found.status, body=answer(middle.answers[-1]))

    application = web.Application()
    application.router.add_route("*", PATH, relay)
    async with open_port(application, PortTerms(host="127.0.0.1", port=0)) as port:
        middle.url = f"http://127.0.0.1:{port}"
        yield middle


async def all_of(work: Sequence[Awaitable[int]]) -> list[int]:
    """Return what came of all, begun at once."""
    return list(await asyncio.gather(*work))
