"""Role by endpoint by object, over every endpoint that is declared (trial S-3)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from openapi_schema_validator import OAS31Validator

from server.api.application import ENDPOINTS
from server.api.description import describe
from server.api.endpoint import PREFIX, Role
from server.store.audit import AuditFilter, read_audit
from tests.integration.api.ground import open_ground
from tests.integration.api.matrix import COLUMNS, ROWS
from tests.integration.api.people import make_token, open_session, sign_in_new
from tests.integration.api.site import USER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from server.api.endpoint import Endpoint
    from server.store.database import Database
    from tests.integration.api.ground import Ground
    from tests.integration.api.people import Headers

CHANGES_NOTHING = {("POST", "/definitions/check")}
DOCUMENT: dict[str, Any] = describe(ENDPOINTS)


@pytest.fixture
async def ground(database: Database) -> AsyncIterator[Ground]:
    async with open_ground(database) as opened:
        yield opened


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
        _assert_described(endpoint, status, text)
        if column == "restricted" and status == 200:
            assert "db1" not in text, _name(endpoint)


async def test_every_change_that_an_endpoint_makes_is_in_the_audit_log(ground: Ground, database: Database) -> None:
    headers = await sign_in_new(ground.site, "asking", "administrator")
    seen = 0
    for endpoint in _ordered():
        if endpoint.method == "GET" or (endpoint.method, endpoint.path) in CHANGES_NOTHING:
            continue
        status, text = await ground.ask(endpoint, ROWS[endpoint.method, endpoint.path], headers)
        async with database.connection() as connection:
            entries = await read_audit(connection, AuditFilter())
        if status < 300:
            assert len(entries) > seen, (_name(endpoint), text)
            assert (entries[0].actor, entries[0].address) == ("asking", "127.0.0.1"), _name(endpoint)
        seen = len(entries)


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
async def test_who_is_not_known_any_more_gets_nothing(ground: Ground, database: Database) -> None:
    site = ground.site
    expired, expired_id = await make_token(site, USER, "administrator", name="expired")
    revoked, revoked_id = await make_token(site, USER, "administrator", name="revoked")
    signed_out = await open_session(site, USER)
    assert await site.services.tokens.revoke(revoked_id, by=USER, address="")
    async with database.connection() as connection:
        await connection.execute("UPDATE api_token SET expires_at = now() WHERE id = %s", (expired_id,))
        await connection.execute("DELETE FROM session")
    dead: dict[str, Headers] = {
        "none": {},
        "expired": expired,
        "revoked": revoked,
        "invented": {"Authorization": "Bearer wk_" + "A" * 43},
        "session over": signed_out,
    }
    for endpoint in ENDPOINTS:
        if endpoint.role is Role.ANYONE:
            continue
        for kind, headers in dead.items():
            status, text = await ground.ask(endpoint, ROWS[endpoint.method, endpoint.path], headers)
            assert status == 401, (kind, _name(endpoint), text)
            assert json.loads(text)["error"]["code"] in {"not_signed_in", "token_refused"}


def _assert_described(endpoint: Endpoint, status: int, text: str) -> None:
    """Every answer has a status that the OpenAPI document names for it, and the form that it promises."""
    operation = DOCUMENT["paths"][PREFIX + endpoint.path][endpoint.method.lower()]
    content = operation["responses"][str(status)].get("content", {})
    if text and "application/json" in content:
        schema = {**content["application/json"]["schema"], "components": DOCUMENT["components"]}
        OAS31Validator(schema).validate(json.loads(text))


def _ordered() -> list[Endpoint]:
    """Return the endpoints so that what removes comes after what needs it, and signing out last."""
    return sorted(ENDPOINTS, key=lambda endpoint: (endpoint.method == "DELETE", endpoint.path == "/session"))


def _name(endpoint: Endpoint) -> str:
    return f"{endpoint.method} {endpoint.path}"
