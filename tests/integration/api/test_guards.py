"""What every request and every answer goes through."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from core.runtime.clock import SystemClock
from server.api.application import ENDPOINTS
from server.api.endpoint import PREFIX, Role
from server.api.security import CONTENT_SECURITY_POLICY
from server.api.web_terms import WebTerms
from server.store.database import Database
from tests.integration.api.site import open_site

if TYPE_CHECKING:
    from server.api.endpoint import Endpoint
    from server.store.database import DatabaseOptions
    from tests.integration.api.site import Site

CLOSED = [endpoint for endpoint in ENDPOINTS if endpoint.role is not Role.ANYONE]
OPEN = {(endpoint.method, endpoint.path) for endpoint in ENDPOINTS if endpoint.role is Role.ANYONE}


def _address(endpoint: Endpoint) -> str:
    """Fill in what stands in braces: numbers for ids, names for the rest."""
    path = endpoint.path.replace("{kind}", "host").replace("{id}", "1")
    return PREFIX + re.sub(r"\{\w+\}", "db1", path)


def _name(endpoint: Endpoint) -> str:
    return f"{endpoint.method} {endpoint.path}"


def test_only_signing_in_is_open_to_anyone() -> None:
    assert {("POST", "/session")} == OPEN


@pytest.mark.trial("S-3")
async def test_every_endpoint_refuses_who_is_not_signed_in(site: Site) -> None:
    assert len(CLOSED) >= 15
    for endpoint in CLOSED:
        address = site.url(_address(endpoint))
        async with site.stranger.request(endpoint.method, address, json={"documents": []}) as answer:
            assert answer.status == 401, _name(endpoint)
            assert (await answer.json())["error"]["code"] == "not_signed_in"


@pytest.mark.trial("S-3")
async def test_every_endpoint_above_his_role_refuses_a_viewer(signed_in: Site, database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute("UPDATE account SET role = 'viewer'")
    for endpoint in CLOSED:
        if "text/event-stream" in endpoint.answer_media:
            continue
        address = signed_in.url(_address(endpoint))
        async with signed_in.browser.request(endpoint.method, address, json={"documents": []}) as answer:
            is_refused = answer.status == 403
            assert is_refused == (endpoint.role > Role.VIEWER), (_name(endpoint), answer.status)
        if endpoint.path == "/session" and endpoint.method == "DELETE":
            assert await signed_in.sign_in() == 200


FOREIGN = (
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
)


@pytest.mark.trial("S-2")
async def test_a_change_sent_by_another_sites_page_is_refused_and_counted(signed_in: Site) -> None:
    changing = [endpoint for endpoint in ENDPOINTS if endpoint.method != "GET"]
    for endpoint in changing:
        address = signed_in.url(_address(endpoint))
        for headers in FOREIGN:
            async with signed_in.browser.request(endpoint.method, address, json={}, headers=headers) as answer:
                assert answer.status == 403, (_name(endpoint), headers)
                assert (await answer.json())["error"]["code"] == "cross_site"
    counted = {count.kind: count.count for count in signed_in.services.refusals.counts()}
    assert counted == {"web.cross_site": len(changing) * len(FOREIGN)}


async def test_a_change_from_our_own_page_passes(signed_in: Site) -> None:
    headers = {"Origin": signed_in.url("").rstrip("/"), "Sec-Fetch-Site": "same-origin"}
    async with signed_in.browser.delete(signed_in.api("/session"), headers=headers) as answer:
        assert answer.status == 204


@pytest.mark.trial("S-5")
async def test_every_answer_carries_the_protecting_headers(signed_in: Site) -> None:
    asked = [
        ("GET", "/api/v1/session", 200),
        ("GET", "/api/v1/openapi.json", 200),
        ("GET", "/api/v1/stream", 200),
        ("GET", "/api/v1/hosts/nowhere", 404),
        ("GET", "/api/v1/history", 400),
        ("GET", "/api/v1/nothing", 404),
        ("GET", "/elsewhere", 404),
        ("POST", "/api/v1/hosts", 405),
        ("POST", "/api/v1/session", 415),
        ("DELETE", "/api/v1/session", 204),
        ("GET", "/api/v1/session", 401),
    ]
    for method, path, status in asked:
        async with signed_in.browser.request(method, signed_in.url(path)) as answer:
            assert answer.status == status, (method, path)
            assert answer.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["X-Frame-Options"] == "DENY"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
            assert answer.headers["Server"] == "Watchkeep"
            assert "Access-Control-Allow-Origin" not in answer.headers
            if path.startswith("/api/"):
                assert answer.headers["Cache-Control"] == "no-store"


def test_the_content_policy_allows_nothing_inline_and_nothing_from_elsewhere() -> None:
    assert "default-src 'none'" in CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert "http" not in CONTENT_SECURITY_POLICY
    assert "*" not in CONTENT_SECURITY_POLICY


@pytest.mark.trial("S-10")
async def test_a_body_over_the_limit_is_refused(database: Database) -> None:
    async with open_site(database, SystemClock(), WebTerms(max_body_bytes=10_000)) as site:
        await site.sign_in()
        body = json.dumps({"documents": [{"description": "x" * 20_000}]})
        for data in (body, _pieces(body.encode())):  # with a length, and in chunks of unknown number
            async with site.browser.post(
                site.api("/definitions/check"), data=data, headers={"Content-Type": "application/json"}
            ) as answer:
                assert answer.status == 413
                assert (await answer.json())["error"]["code"] == "too_large"


async def _pieces(body: bytes):  # type: ignore[no-untyped-def] # aiohttp takes any asynchronous generator
    for begin in range(0, len(body), 4096):
        yield body[begin : begin + 4096]


UNFIT = (
    b"",
    b"{",
    b"[" * 100_000,
    b'{"documents": ' + b"[" * 50 + b"]" * 50 + b"}",
    b'{"documents": [{"name": "a\\u0000b"}]}',
    b'{"documents": [{"a\\u0000": 1}]}',
    b'{"documents": [{"name": "\\ud800"}]}',
    b'{"documents": [{"value": NaN}]}',
    b'{"documents": [], "surprise": 1}',
    b'{"documents": "text"}',
    b'"text"',
    b"\xff\xfe",
)


@pytest.mark.trial("S-10")
async def test_a_body_that_does_not_fit_is_refused_with_a_remedy(signed_in: Site) -> None:
    headers = {"Content-Type": "application/json"}
    for body in UNFIT:
        async with signed_in.browser.post(signed_in.api("/definitions/check"), data=body, headers=headers) as answer:
            assert answer.status == 400, (body[:60], await answer.text())
            assert (await answer.json())["error"]["remedy"]


async def test_all_faults_of_a_query_are_named_at_once(signed_in: Site) -> None:
    answer = await signed_in.get("/items", status=400, limit="many", after="-1", colour="red")
    assert {fault["path"] for fault in answer["errors"]} == {"limit", "after", "colour"}


async def test_a_parameter_given_twice_is_refused(signed_in: Site) -> None:
    async with signed_in.browser.get(signed_in.api("/items?limit=1&limit=2")) as answer:
        assert answer.status == 400


@pytest.mark.trial("S-10")
async def test_a_blocked_table_costs_a_page_its_answer_and_nothing_more(options: DatabaseOptions) -> None:
    async with (
        Database(replace(options, lock_timeout_seconds=0.5), purpose="web") as database,
        open_site(database, SystemClock()) as site,
        Database(options, purpose="blocker") as other,
        other.connection() as connection,
    ):
        assert await site.sign_in() == 200
        async with connection.transaction():
            await connection.execute("LOCK TABLE problem")
            answer = await site.get("/problems", status=503)
            assert answer["error"]["code"] == "store_away"
        await site.get("/problems")


async def test_while_the_database_is_away_the_answer_says_so(signed_in: Site, database: Database) -> None:
    await database.close()
    answer = await signed_in.get("/hosts", status=503)
    assert answer["error"]["code"] == "store_away"
    assert "doctor" in answer["error"]["remedy"]


async def test_a_bug_shows_a_reference_and_nothing_of_its_inside(signed_in: Site, database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute("ALTER TABLE problem RENAME COLUMN severity TO secret_name")
    answer = await signed_in.get("/problems", status=500)
    assert answer["error"]["code"] == "bug"
    assert "severity" not in json.dumps(answer)


@pytest.mark.trial("S-10")
async def test_garbage_at_the_port_hurts_nobody_else(site: Site) -> None:
    port = site.server.port
    assert port is not None
    for garbage in (b"\x00" * 1000, b"GET / HTTP/9.9\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(garbage)
        answer = await asyncio.wait_for(reader.read(), 60)
        assert b"200 OK" not in answer
        writer.close()
    assert await site.sign_in() == 200
