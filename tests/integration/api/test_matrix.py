"""Role by endpoint by object, over every endpoint that is declared (trial S-3)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from core.runtime.clock import SystemClock
from server.api.application import ENDPOINTS
from server.api.endpoint import Role
from server.api.login_limit import LoginTerms
from server.api.services import PartHealth, WebTerms
from tests.integration.api.data import define_hosts, store_host, store_problem, store_values
from tests.integration.api.matrix import COLUMNS, ROWS
from tests.integration.api.people import add_user, make_token, open_session, sign_in_new
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


@pytest.fixture
async def ground(database: Database) -> AsyncIterator[Ground]:
    terms = WebTerms(login=LoginTerms(tries_per_address=1000, tries_per_user=1000))
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


@pytest.mark.trial("S-3")
def test_every_declared_endpoint_has_its_row_and_every_row_its_endpoint() -> None:
    assert ROWS.keys() == {(endpoint.method, endpoint.path) for endpoint in ENDPOINTS}


@pytest.mark.trial("S-3")
@pytest.mark.parametrize("column", COLUMNS)
async def test_every_endpoint_answers_each_role_as_the_matrix_says(ground: Ground, column: str) -> None:
    role, groups = ("operator", ["web"]) if column == "restricted" else (column, None)
    headers = await sign_in_new(ground.site, "asking", role, groups)
    for endpoint in _ordered():
        row = ROWS[endpoint.method, endpoint.path]
        status, text = await ground.ask(endpoint, row, headers)
        assert status == getattr(row, column), (_name(endpoint), text)
        if column == "restricted" and status == 200:
            assert "db1" not in text, _name(endpoint)


@pytest.mark.trial("S-3")
async def test_a_token_may_what_its_role_may_except_what_needs_a_person(ground: Ground) -> None:
    for column in ("administrator", "viewer"):
        headers, _ = await make_token(ground.site, USER, column, name=column)
        for endpoint in _ordered():
            row = ROWS[endpoint.method, endpoint.path]
            expected = 403 if row.is_session_only else getattr(row, column)
            if endpoint.method == "DELETE" and column == "viewer":  # the administrator's token removed it
                continue
            status, text = await ground.ask(endpoint, row, headers)
            if (endpoint.method, endpoint.path) in {("POST", "/users"), ("PUT", "/users/{name}")} and status == 409:
                continue
            assert status == expected, (column, _name(endpoint), text)


@pytest.mark.trial("S-3")
@pytest.mark.parametrize("kind", ["none", "expired", "revoked", "invented", "session over"])
async def test_who_is_not_known_any_more_gets_nothing(ground: Ground, database: Database, kind: str) -> None:
    site = ground.site
    headers, token = await make_token(site, USER, "administrator")
    match kind:
        case "none":
            headers = {}
        case "expired":
            async with database.connection() as connection:
                await connection.execute("UPDATE api_token SET expires_at = now() WHERE id = %s", (token,))
        case "revoked":
            assert await site.services.tokens.revoke(token, by=USER, address="")
        case "invented":
            headers = {"Authorization": "Bearer wk_" + "A" * 43}
        case _:
            headers = await open_session(site, USER)
            async with database.connection() as connection:
                await connection.execute("DELETE FROM session")
    for endpoint in ENDPOINTS:
        if endpoint.role is Role.ANYONE:
            continue
        status, text = await ground.ask(endpoint, ROWS[endpoint.method, endpoint.path], headers)
        assert status == 401, (_name(endpoint), text)
        assert json.loads(text)["error"]["code"] in {"not_signed_in", "token_refused"}


def _ordered() -> list[Endpoint]:
    """Return the endpoints so that what removes comes after what needs it, and signing out last."""
    return sorted(ENDPOINTS, key=lambda endpoint: (endpoint.method == "DELETE", endpoint.path == "/session"))


def _name(endpoint: Endpoint) -> str:
    return f"{endpoint.method} {endpoint.path}"
