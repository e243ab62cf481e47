"""Hostile text through every parameter of every endpoint, found from the OpenAPI document."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from server.api.endpoint import PREFIX
from tests.integration.api.data import store_host

if TYPE_CHECKING:
    from server.store.database import Database
    from tests.integration.api.site import Site

HOSTILE = (
    "'",
    "' OR '1'='1",
    "'; DROP TABLE host; --",
    "1; SELECT pg_sleep(5)",
    "1) UNION SELECT password_hash FROM account --",
    "%s %(x)s %% {} ${7*7} {{7*7}}",
    "\\'; --",
    "a\x00b",
    "a\r\nSet-Cookie: x=y",
    "../../../../etc/passwd",
    "<script>alert(1)</script>",
    "\u202e\ufeff\U0001f4a9" * 20,
    "9" * 40,
    "-1",
    "1e999",
    "NaN",
    "x" * 7000,
)


@pytest.mark.trial("S-1")
async def test_hostile_text_in_any_parameter_is_refused_or_taken_as_text(signed_in: Site, database: Database) -> None:
    await store_host(database, "db1", "cpu.busy")
    before = await _fingerprint(database)
    document = await signed_in.get("/openapi.json")
    asked = 0
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if (method, path) in {("delete", f"{PREFIX}/session"), ("get", f"{PREFIX}/stream")}:
                continue
            for parameter in operation["parameters"]:
                for text in HOSTILE:
                    asked += 1
                    await _ask(signed_in, method, path, operation["parameters"], parameter["name"], text)
    assert asked > 200
    assert await _fingerprint(database) == before


@pytest.mark.trial("S-1")
async def test_hostile_text_in_bodies_is_refused_or_taken_as_text(signed_in: Site, database: Database) -> None:
    before = await _fingerprint(database)
    for text in HOSTILE:
        bodies: list[tuple[str, str, Any]] = [
            ("POST", "/definitions/check", {"documents": [{"kind": "host", "name": text}]}),
            ("POST", "/definitions/apply", {"documents": [{"kind": text, "name": "db1"}]}),
            ("POST", "/definitions/apply", {"documents": [{"kind": "host", "name": text, "templates": [text]}]}),
            ("POST", "/definitions/apply", {"documents": [{"kind": "host", "name": "db1", text: text}]}),
            ("PUT", "/definitions/host/db1", {"templates": [text]}),
        ]
        for method, path, body in bodies:
            async with signed_in.browser.request(method, signed_in.api(path), json=body) as answer:
                assert answer.status in {200, 400, 422}, (path, text[:40], await answer.text())
    async with signed_in.stranger.post(
        signed_in.api("/session"), json={"user": HOSTILE[1], "password": HOSTILE[1]}
    ) as answer:
        assert answer.status == 401
    tables, hosts, _ = await _fingerprint(database)
    assert tables == before[0]
    assert set(hosts) <= {"1", "-1", "NaN", "1e999", "9" * 40}  # what is a name by the rules


@pytest.mark.trial("S-1")
@pytest.mark.parametrize("header", ["Cookie", "User-Agent", "X-Forwarded-For", "Referer", "Accept", "If-None-Match"])
async def test_hostile_text_in_headers_is_taken_as_text(site: Site, header: str) -> None:
    for text in HOSTILE[:7]:
        for method, path, body in (
            ("GET", "/session", None),
            ("POST", "/session", {"user": "admin", "password": site.password}),
        ):
            async with site.stranger.request(method, site.api(path), json=body, headers={header: text}) as answer:
                assert answer.status in {200, 401}


async def _ask(site: Site, method: str, path: str, parameters: list[dict[str, Any]], name: str, text: str) -> None:
    filled, query = path, {}
    for parameter in parameters:
        value = text if parameter["name"] == name else _harmless(parameter["name"])
        if parameter["in"] == "path":
            filled = filled.replace(f"{{{parameter['name']}}}", quote(value, safe=""))
        elif parameter["required"] or parameter["name"] == name:
            query[parameter["name"]] = value
    body: Any = {"documents": []} if method != "get" else None
    async with site.browser.request(method, site.url(filled), params=query, json=body) as answer:
        said = await answer.text()
        assert answer.status in {200, 400, 404, 409, 422}, (method, path, name, text[:40], said)
        assert "Set-Cookie" not in answer.headers
        assert "argon2" not in said
        if answer.ok and path.endswith("/history/export"):
            assert answer.content_type == "text/csv"
            return
        assert answer.content_type == "application/json"
        json.loads(said)


def _harmless(name: str) -> str:
    return {
        "kind": "host",
        "name": "db1",
        "item": "1",
        "from": "2026-01-01T00:00:00Z",
        "to": "2026-01-01T01:00:00Z",
    }.get(name, "1")


async def _fingerprint(database: Database) -> tuple[list[str], list[str], int]:
    """Return the tables, the host names and the number of accounts."""
    async with database.connection() as connection:
        tables = await connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        names = [row[0] for row in await tables.fetchall()]
        hosts = await (await connection.execute("SELECT name FROM host ORDER BY 1")).fetchall()
        accounts = await (await connection.execute("SELECT id FROM account")).fetchall()
    return names, [row[0] for row in hosts], len(accounts)
