"""Tokens of programs: what they may, when they end, and what stands beside them in a request."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.integration.api.people import add_user, make_token, sign_in_new
from tests.integration.api.site import USER
from tests.integration.api.test_users import ask

if TYPE_CHECKING:
    from server.store.database import Database
    from tests.integration.api.site import Site


async def test_a_token_is_shown_once_and_its_secret_is_nowhere_in_the_database(
    signed_in: Site, database: Database
) -> None:
    status, made = await ask(signed_in, "POST", "/tokens", None, {"name": "report", "role": "viewer"})
    assert (status, made["owner"], made["secret"][:3], len(made["secret"])) == (200, USER, "wk_", 46)
    headers = {"Authorization": f"bearer {made['secret']}"}  # the scheme's case does not matter (RFC 9110 11.1)
    assert (await ask(signed_in, "GET", "/session", headers))[1]["role"] == "viewer"
    (listed,) = (await signed_in.get("/tokens"))["tokens"]
    assert "secret" not in listed
    assert listed["last_used_at"] is not None
    assert listed["last_address"] == "127.0.0.1"
    async with database.connection() as connection:
        rows = await (await connection.execute("SELECT t::text FROM api_token t")).fetchall()
        audit = await (await connection.execute("SELECT a::text FROM audit a")).fetchall()
    assert made["secret"] not in str(rows) + str(audit)
    assert (await ask(signed_in, "POST", "/tokens", None, {"name": "report", "role": "viewer"}))[0] == 409


async def test_a_token_ends_at_its_time(signed_in: Site, database: Database) -> None:
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    body = {"name": "short", "role": "viewer", "expires_at": soon}
    _, made = await ask(signed_in, "POST", "/tokens", None, body)
    headers = {"Authorization": f"Bearer {made['secret']}"}
    assert (await ask(signed_in, "GET", "/hosts", headers))[0] == 200
    async with database.connection() as connection:
        await connection.execute("UPDATE api_token SET expires_at = now()")
    status, answer = await ask(signed_in, "GET", "/hosts", headers)
    assert (status, answer["error"]["code"]) == (401, "token_refused")
    assert (await signed_in.get("/tokens"))["tokens"][0]["is_expired"]
    past = {"name": "past", "role": "viewer", "expires_at": "2020-01-01T00:00:00Z"}
    assert (await ask(signed_in, "POST", "/tokens", None, past))[0] == 400


async def test_everybody_revokes_his_own_tokens_and_an_administrator_all(signed_in: Site) -> None:
    anna = await sign_in_new(signed_in, "anna", "viewer")
    await add_user(signed_in, "ben", "viewer")
    hers, her_id = await make_token(signed_in, "anna", "viewer")
    his, his_id = await make_token(signed_in, "ben", "viewer")
    assert [token["owner"] for token in (await ask(signed_in, "GET", "/tokens", anna))[1]["tokens"]] == ["anna"]
    assert (await ask(signed_in, "DELETE", f"/tokens/{his_id}", anna))[0] == 404
    assert (await ask(signed_in, "DELETE", f"/tokens/{her_id}", anna))[0] == 204
    assert (await ask(signed_in, "GET", "/hosts", hers))[0] == 401
    assert (await ask(signed_in, "GET", "/hosts", his))[0] == 200
    assert (await ask(signed_in, "DELETE", f"/tokens/{his_id}"))[0] == 204
    assert (await ask(signed_in, "GET", "/hosts", his))[0] == 401
    actions = [entry["action"] for entry in (await signed_in.get("/audit", action="token"))["entries"]]
    assert actions == ["token.refused", "token.revoke", "token.refused", "token.revoke", "token.create", "token.create"]


@pytest.mark.trial("S-3")
async def test_a_token_makes_no_token_and_changes_no_password(signed_in: Site) -> None:
    headers, token = await make_token(signed_in, USER, "administrator")
    for method, path, body in (
        ("POST", "/tokens", {"name": "longer", "role": "administrator"}),
        ("DELETE", f"/tokens/{token}", None),
        ("PUT", "/session/password", {"old": signed_in.password, "new": "long enough to be one"}),
        ("DELETE", "/session", None),
    ):
        status, answer = await ask(signed_in, method, path, headers, body)
        assert (status, answer["error"]["code"]) == (403, "needs_session"), path


@pytest.mark.trial("S-2")
async def test_beside_a_token_the_cookie_counts_for_nothing(signed_in: Site) -> None:
    viewer, _ = await make_token(signed_in, USER, "viewer")
    async with signed_in.browser.get(signed_in.api("/users"), headers=viewer) as answer:
        assert answer.status == 403
    for refused in ("Bearer ", "Bearer x", "Bearer wk_é", f"Bearer wk_{'A' * 43}", f"Bearer {'A' * 5000}"):
        async with signed_in.browser.get(
            signed_in.api("/session"), headers={"Authorization": refused.encode().decode("latin-1")}
        ) as answer:
            assert answer.status == 401, refused
    async with signed_in.browser.get(signed_in.api("/session"), headers={"Authorization": "Basic YTpi"}) as answer:
        assert answer.status == 200  # a reverse proxy's own password is none of ours


@pytest.mark.trial("S-2")
async def test_a_token_needs_no_origin_and_a_cookie_still_does(signed_in: Site) -> None:
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    token, _ = await make_token(signed_in, USER, "administrator")
    body: dict[str, list[object]] = {"documents": []}
    assert (await ask(signed_in, "POST", "/definitions/apply", token | foreign, body))[0] == 200
    assert (await ask(signed_in, "POST", "/definitions/apply", foreign, body))[0] == 403
    async with signed_in.browser.post(signed_in.api("/definitions/apply"), json=body, headers=foreign) as answer:
        assert answer.status == 403


@pytest.mark.trial("S-2")
async def test_wrong_tokens_are_limited_and_good_ones_still_open(signed_in: Site) -> None:
    good, _ = await make_token(signed_in, USER, "viewer")
    wrong = {"Authorization": f"Bearer wk_{'A' * 43}"}
    answers = [(await ask(signed_in, "GET", "/hosts", wrong))[0] for _ in range(12)]
    assert answers == [401] * 10 + [429] * 2
    assert (await ask(signed_in, "GET", "/hosts", good))[0] == 200
    assert await signed_in.sign_in() == 200
    assert len((await signed_in.get("/audit", action="token.refused"))["entries"]) == 10
    counted = {count.kind: count.count for count in signed_in.services.refusals.counts()}
    assert (counted["web.token_wrong"], counted["web.token_limited"]) == (10, 2)
