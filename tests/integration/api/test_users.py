"""Users: made, changed and removed by administrators only, and never so that nobody is left to administer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.api.data import define_hosts
from tests.integration.api.people import add_user, make_token, open_session, sign_in_new
from tests.integration.api.site import USER

if TYPE_CHECKING:
    from server.store.database import Database
    from tests.integration.api.people import Headers
    from tests.integration.api.site import Site

GOOD = "long enough to be one"


async def test_a_new_user_signs_in_with_his_role_and_groups(signed_in: Site) -> None:
    body = {"name": "anna", "role": "operator", "groups": ["web"], "full_name": "Anna Å", "password": GOOD}
    _, made = await ask(signed_in, "POST", "/users", None, body)
    assert (made["name"], made["role"], made["groups"], made["sessions"]) == ("anna", "operator", ["web"], 0)
    async with signed_in.stranger.post(signed_in.api("/session"), json={"user": "anna", "password": GOOD}) as answer:
        assert await answer.json() == {"user": "anna", "full_name": "Anna Å", "role": "operator", "groups": ["web"]}
    users = (await signed_in.get("/users"))["users"]
    assert [(user["name"], user["sessions"]) for user in users] == [(USER, 1), ("anna", 1)]
    assert (await ask(signed_in, "POST", "/users", None, body))[0] == 409


UNFIT: tuple[dict[str, Any], ...] = (
    {"name": ""},
    {"name": "no blanks"},
    {"name": "<b>"},
    {"role": "king"},
    {"groups": []},
    {"groups": ["web", "web"]},
    {"groups": ["a/b"]},
    {"role": "administrator", "groups": ["web"]},
    {"full_name": "two\nlines"},
    {"password": "short"},
    {"password": "aaaaaaaaaaaaaaaa"},
    {"surprise": 1},
)


async def test_what_does_not_fit_makes_no_user(signed_in: Site) -> None:
    for wrong in UNFIT:
        body = {"name": "anna", "role": "viewer", "password": GOOD} | wrong
        status, answer = await ask(signed_in, "POST", "/users", None, body)
        assert (status, bool(answer["error"]["remedy"])) == (400, True), wrong
    assert len((await signed_in.get("/users"))["users"]) == 1


async def test_a_changed_role_and_groups_hold_for_the_next_request(signed_in: Site, database: Database) -> None:
    await define_hosts(database, {"db1": ["db"], "web1": ["web"]})
    anna = await sign_in_new(signed_in, "anna", "operator")
    token, _ = await make_token(signed_in, "anna", "operator")
    for who in (anna, token):
        assert await hosts(signed_in, who) == ["db1", "web1"]
        assert (await ask(signed_in, "GET", "/health", who))[0] == 200
    await ask(signed_in, "PUT", "/users/anna", None, {"role": "viewer", "groups": ["web"]})
    for who in (anna, token):
        assert await hosts(signed_in, who) == ["web1"]
        assert (await ask(signed_in, "GET", "/health", who))[0] == 403
    await ask(signed_in, "DELETE", "/users/anna")
    for who in (anna, token):
        assert (await ask(signed_in, "GET", "/hosts", who))[0] == 401


async def test_a_host_that_leaves_a_group_is_gone_at_once(signed_in: Site, database: Database) -> None:
    await define_hosts(database, {"web1": ["web"], "web2": ["web", "secret"]})
    anna = await sign_in_new(signed_in, "anna", "viewer", ["web"])
    _, answer = await ask(signed_in, "GET", "/hosts", anna)
    assert [(host["name"], host["groups"]) for host in answer["hosts"]] == [("web1", ["web"]), ("web2", ["web"])]
    _, answer = await ask(signed_in, "GET", "/definitions/host/web2", anna)
    assert answer["document"]["groups"] == ["web"]
    assert (await ask(signed_in, "GET", "/groups", anna))[1] == {"groups": [{"name": "web", "hosts": ["web1", "web2"]}]}
    await define_hosts(database, {"web2": ["secret"]})
    assert await hosts(signed_in, anna) == ["web1"]
    assert (await ask(signed_in, "GET", "/hosts/web2", anna))[0] == 404
    assert (await ask(signed_in, "GET", "/groups", anna))[1] == {"groups": [{"name": "web", "hosts": ["web1"]}]}


@pytest.mark.trial("S-3")
async def test_nobody_grants_himself_a_role_or_a_group(signed_in: Site, database: Database) -> None:
    await define_hosts(database, {"db1": ["db"], "web1": ["web"]})
    tries: list[tuple[str, str, Any]] = [
        ("PUT", "/users/anna", {"role": "administrator"}),
        ("PUT", "/users/anna", {"role": "operator", "groups": ["db", "web"]}),
        ("POST", "/users", {"name": "other", "role": "administrator", "password": GOOD}),
        ("PUT", f"/users/{USER}/password", {"password": GOOD}),
        ("POST", "/tokens", {"name": "t", "role": "administrator"}),
        ("POST", "/tokens", {"name": "t", "role": "operator", "groups": ["db"]}),
        ("POST", "/tokens", {"name": "t", "role": "operator", "groups": ["web", "db"]}),
        ("PUT", "/definitions/host/db1", {"groups": ["web"]}),
        ("POST", "/definitions/apply", {"documents": [{"kind": "host", "name": "db1", "groups": ["web"]}]}),
        ("POST", "/definitions/apply", {"documents": [{"kind": "template", "name": "mine"}]}),
    ]
    anna = await sign_in_new(signed_in, "anna", "operator", ["web"])
    token, _ = await make_token(signed_in, "anna", "operator", ["web"])
    for who in (anna, token):
        for method, path, body in tries:
            status, answer = await ask(signed_in, method, path, who, body)
            assert status == 403, (path, answer)
    assert (await ask(signed_in, "GET", "/session", anna))[1]["groups"] == ["web"]
    assert await hosts(signed_in, anna) == ["web1"]
    assert len((await signed_in.get("/users"))["users"]) == 2
    assert [entry["name"] for entry in (await signed_in.get("/tokens"))["tokens"]] == ["made"]
    refused = [entry["action"] for entry in (await signed_in.get("/audit", actor="anna"))["entries"]]
    assert refused.count("request.forbidden") == 14
    assert refused.count("token.create_refused") == 3


async def test_the_last_administrator_stays_also_when_two_remove_each_other(signed_in: Site) -> None:
    for method, body in (("DELETE", None), ("PUT", {"role": "operator"})):
        status, answer = await ask(signed_in, method, f"/users/{USER}", None, body)
        assert (status, answer["error"]["code"]) == (409, "last_administrator")
    other = await sign_in_new(signed_in, "other", "administrator")
    answers = await asyncio.gather(
        ask(signed_in, "DELETE", "/users/other"), ask(signed_in, "DELETE", f"/users/{USER}", other)
    )
    assert sorted(status for status, _ in answers) in ([204, 409], [204, 401])
    left = await signed_in.services.users.list()
    assert [user.role for user in left] == ["administrator"]


async def test_a_changed_password_ends_the_other_sessions_and_needs_the_old_one(signed_in: Site) -> None:
    elsewhere = await open_session(signed_in, USER)
    status, answer = await ask(signed_in, "PUT", "/session/password", None, {"old": "wrong", "new": GOOD})
    assert (status, answer["error"]["code"]) == (403, "wrong_password")
    body = {"old": signed_in.password, "new": "short"}
    assert (await ask(signed_in, "PUT", "/session/password", None, body))[0] == 400
    assert (await ask(signed_in, "GET", "/session", elsewhere))[0] == 200
    status, answer = await ask(signed_in, "PUT", "/session/password", None, body | {"new": GOOD})
    assert (status, answer) == (200, {"sessions_ended": 1})
    assert (await ask(signed_in, "GET", "/session", elsewhere))[0] == 401
    await signed_in.get("/session")
    assert await signed_in.sign_in() == 401
    assert await signed_in.sign_in(GOOD) == 200


async def test_old_passwords_are_not_guessed_in_an_open_session(signed_in: Site) -> None:
    answers = [
        (await ask(signed_in, "PUT", "/session/password", None, {"old": f"guess {n}", "new": GOOD}))[0]
        for n in range(11)
    ]
    assert answers == [403] * 10 + [429]


async def test_an_administrator_sets_others_passwords_not_his_own(signed_in: Site) -> None:
    anna = await sign_in_new(signed_in, "anna", "viewer")
    status, answer = await ask(signed_in, "PUT", "/users/anna/password", None, {"password": GOOD})
    assert (status, answer) == (200, {"sessions_ended": 1})
    assert (await ask(signed_in, "GET", "/session", anna))[0] == 401
    assert (await ask(signed_in, "PUT", f"/users/{USER}/password", None, {"password": GOOD}))[0] == 409
    for path in ("/users/nobody", "/users/nobody/password"):
        body = {"password": GOOD} if path.endswith("password") else {"role": "viewer"}
        assert (await ask(signed_in, "PUT", path, None, body))[0] == 404


async def test_every_change_of_a_user_is_audited_with_before_and_after(signed_in: Site) -> None:
    await add_user(signed_in, "anna", "viewer", ["web"])
    await ask(signed_in, "PUT", "/users/anna", None, {"role": "operator", "full_name": "Anna"})
    await ask(signed_in, "PUT", "/users/anna", None, {"role": "operator", "full_name": "Anna"})  # changes nothing
    await ask(signed_in, "DELETE", "/users/anna")
    entries = (await signed_in.get("/audit", action="account", object="ANNA"))["entries"]
    first = {"role": "viewer", "groups": ["web"], "full_name": ""}
    second = {"role": "operator", "groups": None, "full_name": "Anna"}
    assert [(entry["actor"], entry["action"], entry["detail"]) for entry in entries] == [
        (USER, "account.remove", {"before": second, "after": None}),
        (USER, "account.change", {"before": first, "after": second}),
        ("test", "account.create", {"before": None, "after": first}),
    ]
    assert entries[0]["address"] == "127.0.0.1"
    older = await signed_in.get("/audit", before=entries[1]["id"], limit=1)
    assert [entry["id"] for entry in older["entries"]] == [entries[2]["id"]]


async def ask(site: Site, method: str, path: str, headers: Headers | None = None, body: Any = None) -> tuple[int, Any]:
    """Ask as who the headers say, or as the one signed in; return status and answer."""
    caller = site.browser if headers is None else site.stranger
    more: dict[str, Any] = {} if body is None else {"json": body}
    async with caller.request(method, site.api(path), headers=headers, **more) as answer:
        return answer.status, None if answer.status == 204 else await answer.json()


async def hosts(site: Site, headers: Headers) -> list[str]:
    status, answer = await ask(site, "GET", "/hosts", headers)
    assert status == 200
    return [host["name"] for host in answer["hosts"]]
