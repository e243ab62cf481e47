"""A web port of ours over a real database, and somebody who asks it over real HTTP."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.test_utils import TestServer

from server.api.application import make_application
from server.api.composition import make_services
from server.api.login import ensure_administrator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from aiohttp.test_utils import BaseTestServer

    from core.runtime.clock import Clock
    from server.api.refusals import RefusalCount
    from server.api.services import AgentFacts, Pages, PartHealth, Services
    from server.api.web_terms import WebTerms
    from server.restoring.station import RestoreStation
    from server.store.database import Database

USER = "admin"


@dataclass
class StatedHealth:
    """What a server daemon would know, stated by a test."""

    role: Any = "active"
    epoch: int = 7
    server: str = "one"
    known_parts: list[PartHealth] = field(default_factory=list)
    agents: dict[str, AgentFacts] = field(default_factory=dict)
    refused: list[RefusalCount] = field(default_factory=list)

    def parts(self) -> Sequence[PartHealth]:
        return self.known_parts

    def agent(self, host: str) -> AgentFacts | None:
        return self.agents.get(host)

    def refusals(self) -> Sequence[RefusalCount]:
        return self.refused


@dataclass(frozen=True)
class Site:
    """A running web port. `browser` keeps cookies like one, `stranger` has none."""

    services: Services
    health: StatedHealth
    password: str
    server: BaseTestServer
    browser: aiohttp.ClientSession
    stranger: aiohttp.ClientSession

    def url(self, path: str) -> str:
        return str(self.server.make_url(path))

    def api(self, path: str) -> str:
        return self.url(f"/api/v1{path}")

    async def sign_in(self, password: str | None = None) -> int:
        body = {"user": USER, "password": self.password if password is None else password}
        async with self.browser.post(self.api("/session"), json=body) as answer:
            return answer.status

    async def get(self, path: str, /, status: int = 200, **query: Any) -> Any:
        """Ask as the one signed in; fail on another status than expected."""
        async with self.browser.get(self.api(path), params=query) as answer:
            assert answer.status == status, await answer.text()
            return await answer.json()


@asynccontextmanager
async def open_site(
    database: Database,
    clock: Clock,
    terms: WebTerms | None = None,
    pages: Pages | None = None,
    restoring: RestoreStation | None = None,
    secrets: Path | None = None,
) -> AsyncIterator[Site]:
    """Serve on a free loopback port with a first administrator."""
    health = StatedHealth()
    services = make_services(
        database=database, health=health, clock=clock, terms=terms, pages=pages, restoring=restoring, secrets=secrets
    )
    password = await ensure_administrator(services.accounts, services.passwords)
    assert password is not None
    async with (
        TestServer(make_application(services), host="127.0.0.1") as server,
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as stranger,
    ):
        yield Site(
            services=services, health=health, password=password, server=server, browser=browser, stranger=stranger
        )
