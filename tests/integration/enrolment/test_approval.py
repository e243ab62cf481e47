"""Without a token an administrator decides, both fingerprints are compared, and strangers fill no table."""

from __future__ import annotations

import asyncio
import tomllib
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from core.security.enrolment import Newcomer, Signed, fingerprint, pack, write_request
from core.security.keys import load
from core.wire.curve import make_keys
from server.store.enrolment import MAX_REQUESTS, TokenTerms
from tests.integration.enrolment.entrance import entry, join
from tests.support.waiting import until_found

if TYPE_CHECKING:
    from pathlib import Path

    from server.enrolment.desk import RequestView
    from server.store.database import DatabaseOptions
    from tests.integration.enrolment.entrance import Entry

pytestmark = pytest.mark.trial("S-6")
TERMS = TokenTerms(host=None, templates=["linux-host"], groups=[], proxy_group="default", lifetime_seconds=0)
_LONG = ("--wait", "60")


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.join.POLL_SECONDS", 0.1)


async def asked(door: Entry, name: str) -> RequestView:
    """Wait until somebody of this name waits."""

    async def waiting() -> RequestView | None:
        _, found = await door.desk.requests()
        return next((each for each in found if each.name == name and each.state == "waiting"), None)

    return await until_found(waiting, 60, f"a waiting request of {name}")


async def test_who_is_approved_and_compares_the_fingerprint_is_in(
    door: Entry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (*_LONG, "--fingerprint", door.terms.fingerprint)
    joining = asyncio.create_task(join(door.url, None, tmp_path / "agent", *words, name="asker1"))
    request = await asked(door, "asker1")
    assert await door.query("SELECT 1 FROM peer_key WHERE name = 'asker1'") == [], "asking lets nobody in"
    assert request.fingerprint == fingerprint(load(tmp_path / "agent" / "key").public)
    assert await door.desk.approve(request.id, TERMS, by="tester") == "asker1"
    assert await joining == 0
    assert request.fingerprint in capsys.readouterr().err
    assert tomllib.loads((tmp_path / "agent" / "agent.toml").read_text())["name"] == "asker1"
    assert await door.desk.approve(request.id, TERMS, by="tester") is None, "decided once"


async def test_a_server_with_another_fingerprint_is_not_joined(
    door: Entry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (*_LONG, "--fingerprint", fingerprint(bytes(32)))
    joining = asyncio.create_task(join(door.url, None, tmp_path / "agent", *words, name="asker2"))
    await door.desk.approve((await asked(door, "asker2")).id, TERMS, by="tester")
    assert await joining == 7
    assert "answers in its place" in capsys.readouterr().err
    assert not (tmp_path / "agent" / "agent.toml").exists()


async def test_nobody_there_to_compare_joins_nothing_and_may_come_again_with_the_fingerprint(
    door: Entry, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "nobody").open("w+") as nobody:
        monkeypatch.setattr("sys.stdin", nobody)
        joining = asyncio.create_task(join(door.url, None, tmp_path / "agent", *_LONG, name="asker3"))
        await door.desk.approve((await asked(door, "asker3")).id, TERMS, by="tester")
        assert await joining == 7
        assert "run the command again with --fingerprint" in capsys.readouterr().err
        words = ("--fingerprint", door.terms.fingerprint)
        assert await join(door.url, None, tmp_path / "agent", *words, name="asker3") == 0


async def test_who_is_refused_is_told(door: Entry, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    joining = asyncio.create_task(join(door.url, None, tmp_path / "agent", *_LONG, name="asker4"))
    assert await door.desk.refuse((await asked(door, "asker4")).id, by="tester")
    assert await joining == 4
    assert "an administrator refused this request" in capsys.readouterr().err


async def test_nobody_deciding_ends_the_wait(door: Entry, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await join(door.url, None, tmp_path / "agent", "--wait", "0.5", name="asker5") == 7
    assert "nobody approved this machine in time" in capsys.readouterr().err


async def test_where_approval_is_not_wanted_a_token_is_asked_for(
    options: DatabaseOptions, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with entry(options, by_approval=False) as door:
        assert await join(door.url, None, tmp_path / "agent", name="asker6") == 4
        assert "ask an administrator for a token" in capsys.readouterr().err
        assert door.refused["token_needed"] == 1


async def test_strangers_crowd_out_each_other_and_fill_no_table(door: Entry) -> None:
    for place in range(MAX_REQUESTS + 3):
        newcomer = Newcomer(name=f"crowd{place}", key=make_keys().public, source=uuid4(), software="x")
        status, _, _ = await door.post(pack(Signed(text=write_request(newcomer))))
        assert status == 202
    _, found = await door.desk.requests()
    waiting = [request.name for request in found if request.state == "waiting"]
    assert len(waiting) == MAX_REQUESTS
    assert f"crowd{MAX_REQUESTS + 2}" in waiting, "the newest"
    assert "crowd0" not in waiting, "the oldest went"
    assert door.refused["crowded_out"] >= 3


async def test_a_key_that_asked_for_one_thing_cannot_get_another(door: Entry) -> None:
    key, source = make_keys().public, uuid4()
    first, second = (Newcomer(name=name, key=key, source=source, software="x") for name in ("modest", "greedy"))
    assert (await door.post(pack(Signed(text=write_request(first)))))[0] == 202
    status, _, found = await door.post(pack(Signed(text=write_request(second))))
    assert (status, found["error"]["code"]) == (409, "key_asked")
