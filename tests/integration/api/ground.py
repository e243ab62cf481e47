"""The ground that the matrix and the fuzzing trial stand on: two hosts in two groups, with values and problems."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from core.runtime.clock import SystemClock
from server.api.login_limit import LoginTerms
from server.api.services import PartHealth
from server.api.web_terms import WebTerms
from tests.integration.api.data import define_hosts, store_host, store_problem, store_values
from tests.integration.api.people import add_user, make_token
from tests.integration.api.site import USER, open_site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from server.api.endpoint import Endpoint
    from server.store.database import Database
    from tests.integration.api.matrix import Row
    from tests.integration.api.people import Headers
    from tests.integration.api.site import Site

AT_US = 1_767_226_000_000_000


@dataclass(frozen=True)
class Ground:
    """The site with what the rows speak of."""

    site: Site
    ids: dict[str, str]

    async def ask(self, endpoint: Endpoint, row: Row, headers: Headers) -> tuple[int, str]:
        """Return status and text; of an opened stream no text."""
        path, query = self._fill(row.path), {name: self._fill(value) for name, value in row.query.items()}
        more: dict[str, Any] = {} if row.body is None else {"json": row.body}
        async with self.site.stranger.request(
            endpoint.method, self.site.api(path), params=query, headers=headers, **more
        ) as answer:
            is_endless = endpoint.timeout_seconds is None and answer.status == 200
            return answer.status, "" if is_endless else await answer.text()

    def _fill(self, text: str) -> str:
        for name, value in self.ids.items():
            text = text.replace("{" + name + "}", value)
        return text


@asynccontextmanager
async def open_ground(database: Database) -> AsyncIterator[Ground]:
    """Serve the site over a migrated database with everything the rows speak of."""
    terms = WebTerms(login=LoginTerms(tries_per_address=1_000_000, tries_per_user=1_000_000))
    async with open_site(database, SystemClock(), terms) as site:
        await define_hosts(database, {"db1": ["db"], "web1": ["web"]})
        ids: dict[str, str] = {}
        for name in ("web1", "db1"):
            host = await store_host(database, name, "cpu.busy")
            await store_values(database, host, "cpu.busy", [AT_US], [1.0])
            event = await store_problem(database, host, f"Busy {name}", datetime.now(UTC))
            ids |= {"item": str(host.items["cpu.busy"]), "problem": str(event.problem_id)}
        await add_user(site, "someone", "viewer")
        _, token = await make_token(site, USER, "viewer", name="old")
        site.health.known_parts.append(PartHealth(kind="agent", name="db1", state="up"))
        yield Ground(site=site, ids={**ids, "token": str(token)})
