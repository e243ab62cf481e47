"""Signing in and out, over real HTTP and a real database."""

from __future__ import annotations

import asyncio
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING

import pytest

from core.runtime.clock import ManualClock
from server.api.login import ensure_administrator, set_password
from server.api.passwords import Passwords, WeakPassword
from server.api.security import COOKIE
from server.api.web_terms import WebTerms
from server.store.accounts import Accounts
from tests.integration.api.site import USER, open_site

if TYPE_CHECKING:
    from server.store.database import Database
    from tests.integration.api.site import Site


async def test_the_right_password_opens_a_session(site: Site) -> None:
    assert await site.sign_in() == 200
    who = await site.get("/session")
    assert who == {"user": USER, "full_name": "", "role": "administrator", "groups": None}


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(site: Site) -> None:
    async with site.stranger.post(site.api("/session"), json={"user": USER, "password": site.password}) as answer:
        cookie = SimpleCookie(answer.headers["Set-Cookie"])[COOKIE]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Strict"
    assert cookie["path"] == "/"
    assert not cookie["domain"]
    assert not cookie["secure"]


async def test_under_https_the_cookie_is_secure(database: Database) -> None:
    async with (
        open_site(database, ManualClock(), WebTerms(is_https=True)) as site,
        site.stranger.post(site.api("/session"), json={"user": USER, "password": site.password}) as answer,
    ):
        assert SimpleCookie(answer.headers["Set-Cookie"])[COOKIE]["secure"]
        assert "max-age" in answer.headers["Strict-Transport-Security"]


async def test_wrong_password_and_unknown_user_get_the_same_answer_and_no_cookie(site: Site) -> None:
    answers = []
    for user, password in ((USER, "not this one at all"), ("nobody", site.password)):
        async with site.stranger.post(site.api("/session"), json={"user": user, "password": password}) as answer:
            assert answer.status == 401
            assert "Set-Cookie" not in answer.headers
            answers.append(await answer.json())
    assert answers[0] == answers[1]
    assert answers[0]["error"]["code"] == "wrong_password"
    assert {count.kind: count.count for count in site.services.refusals.counts()}["web.login_wrong"] == 2


@pytest.mark.trial("S-2")
async def test_after_ten_wrong_passwords_an_address_waits_even_with_the_right_one(database: Database) -> None:
    clock = ManualClock()
    async with open_site(database, clock) as site:
        answers = [await site.sign_in("not this one at all") for _ in range(11)]
        assert answers == [401] * 10 + [429]
        assert await site.sign_in() == 429
        await clock.advance(301)
        assert await site.sign_in() == 200


@pytest.mark.trial("S-2")
async def test_many_tries_at_once_get_no_further_than_one_after_the_other(site: Site) -> None:
    answers = await asyncio.gather(*(site.sign_in(f"guess number {n}") for n in range(25)))
    assert sorted(answers) == [401] * 10 + [429] * 15


@pytest.mark.trial("S-2")
async def test_a_forged_cookie_opens_nothing_and_is_counted(site: Site) -> None:
    headers = {"Cookie": f"{COOKIE}={'A' * 43}"}
    async with site.stranger.get(site.api("/hosts"), headers=headers) as answer:
        assert answer.status == 401
    assert {count.kind: count.count for count in site.services.refusals.counts()} == {"web.session_over": 1}


async def test_signing_out_ends_the_session_for_copies_of_its_cookie_too(signed_in: Site) -> None:
    copied = _cookie_of(signed_in)
    async with signed_in.browser.delete(signed_in.api("/session")) as answer:
        assert answer.status == 204
    async with signed_in.stranger.get(signed_in.api("/session"), headers=copied) as answer:
        assert answer.status == 401


@pytest.mark.parametrize("change", ["expires_at = now()", "seen_at = now() - interval '13 hours'"])
async def test_a_session_ends_by_age_and_by_idleness(signed_in: Site, database: Database, change: str) -> None:
    await signed_in.get("/session")
    async with database.connection() as connection:
        await connection.execute(f"UPDATE session SET {change}")  # noqa: S608 - the test's own two texts
    await signed_in.get("/session", status=401)


async def test_a_session_in_use_is_kept_from_idling_out(signed_in: Site, database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute("UPDATE session SET seen_at = now() - interval '11 hours'")
        await signed_in.get("/session")
        row = await (await connection.execute("SELECT now() - seen_at < interval '1 minute' FROM session")).fetchone()
    assert row == (True,)


async def test_a_new_password_ends_the_sessions_opened_with_the_old_one(signed_in: Site) -> None:
    accounts, passwords = signed_in.services.accounts, Passwords()
    assert await set_password(accounts, passwords, USER, "a new one, long enough") == 1
    await signed_in.get("/session", status=401)
    assert await signed_in.sign_in() == 401
    assert await signed_in.sign_in("a new one, long enough") == 200
    with pytest.raises(WeakPassword):
        await set_password(accounts, passwords, USER, "short")
    with pytest.raises(LookupError, match="nobody"):
        await set_password(accounts, passwords, "nobody", "a new one, long enough")
    passwords.close()


@pytest.mark.trial("S-2")
async def test_two_servers_starting_at_once_make_one_administrator_and_later_starts_none(database: Database) -> None:
    accounts, passwords = Accounts(database), Passwords()
    made = await asyncio.gather(*(ensure_administrator(accounts, passwords) for _ in range(3)))
    assert len([password for password in made if password is not None]) == 1
    assert await ensure_administrator(accounts, passwords) is None
    passwords.close()


@pytest.mark.trial("S-2")
@pytest.mark.parametrize("path", ["/setup", "/install", "/setup.php", "/api/v1/setup", "/api/v1/account"])
async def test_there_is_no_page_that_makes_an_administrator(site: Site, path: str) -> None:
    for method in ("GET", "POST"):
        async with site.stranger.request(method, site.url(path), json={"user": "me", "password": "x" * 12}) as answer:
            assert answer.status == 404


async def test_neither_password_nor_token_lies_in_the_database(signed_in: Site, database: Database) -> None:
    token = _cookie_of(signed_in)["Cookie"].partition("=")[2]
    async with database.connection() as connection:
        rows = await (await connection.execute("SELECT a::text, s::text FROM account a, session s")).fetchall()
        audit = await (await connection.execute("SELECT a::text FROM audit a")).fetchall()
    text = str(rows) + str(audit)
    assert "$argon2id$" in text
    assert signed_in.password not in text
    assert token not in text


async def test_who_signed_in_and_who_was_refused_is_in_the_audit_log(site: Site, database: Database) -> None:
    await site.sign_in("not this one at all")
    await site.sign_in()
    async with database.connection() as connection:
        cursor = await connection.execute("SELECT actor, action, address FROM audit ORDER BY id")
        rows = await cursor.fetchall()
    assert rows == [
        ("watchkeep", "account.create", ""),
        (USER, "session.refused", "127.0.0.1"),
        (USER, "session.open", "127.0.0.1"),
    ]


def _cookie_of(site: Site) -> dict[str, str]:
    (cookie,) = site.browser.cookie_jar
    return {"Cookie": f"{cookie.key}={cookie.value}"}
