"""A token lets one machine in, once, in time, and nobody in between can put himself in its place."""

from __future__ import annotations

import asyncio
import json
import stat
import time
import tomllib
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from core.security.enrolment import Newcomer, Token, pack, read_token, sign_request, write_request
from core.security.keys import key_text, load
from core.wire.curve import make_keys
from server.enrolment.crowd import MOST_OF_AN_ADDRESS
from tests.integration.enrolment.entrance import all_of, entry, in_the_middle, join

if TYPE_CHECKING:
    from pathlib import Path

    from server.store.database import DatabaseOptions
    from tests.integration.enrolment.entrance import Entry

pytestmark = pytest.mark.trial("S-6")
SOURCE = UUID(int=99)
TOKEN = Token(id="a" * 13, secret=bytes(32)).text


def altered(body: bytes, change: dict[str, Any]) -> bytes:
    """Change what a message says and leave its proof as it was."""
    found = json.loads(body)
    found["text"] = json.dumps(json.loads(found["text"]) | change)
    return json.dumps(found).encode()


async def test_a_newcomer_gets_its_host_its_collectors_and_nothing_of_the_token_stays(
    door: Entry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = await door.token(groups=["web"], proxy_group="dmz")
    folder = tmp_path / "agent"
    assert await join(door.url, made.token, folder, name="fresh1") == 0
    settings = tomllib.loads((folder / "agent.toml").read_text())
    assert settings["name"] == "fresh1"
    assert settings["upstreams"] == [{"endpoint": "tcp://127.0.0.1:7701", "key": key_text(door.terms.ways[0].key)}]
    for file in ("agent.toml", "key"):
        assert stat.S_IMODE((folder / file).stat().st_mode) == 0o600
    rows = await door.query(
        "SELECT k.key, s.uuid, g.name, d.body FROM peer_key k JOIN source s ON s.id = k.source_id"
        " JOIN source_assignment a ON a.source_id = s.id JOIN proxy_group g ON g.id = a.group_id"
        " JOIN definition d ON d.kind = 'host' AND d.name = k.name WHERE k.name = 'fresh1'"
    )
    body = {"kind": "host", "name": "fresh1", "templates": ["linux-host"], "groups": ["web"]}
    assert [(bytes(key), str(uuid), group, found) for key, uuid, group, found in rows] == [
        (load(folder / "key").public, settings["source"], "dmz", body)
    ]
    ((secret, used_by),) = await door.query("SELECT secret, used_by FROM enrolment_token WHERE id = %s", made.id)
    assert (secret, used_by) == (None, "fresh1")
    secrets = [made.token, made.token.rpartition("-")[2]]
    kept = "".join(path.read_text() for path in folder.iterdir()) + capsys.readouterr().err
    assert not any(each in kept for each in secrets), "the token's secret is kept on the newcomer's machine"
    assert await join(door.url, made.token, folder, name="fresh1") == 0, "joined already: it would just start"


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE enrolment_token SET expires_at = now() WHERE id = %s", "this token has expired"),
        (
            "UPDATE enrolment_token SET revoked_at = now(), secret = NULL WHERE id = %s",
            "this token was revoked",
        ),
    ],
    ids=["expired", "revoked"],
)
async def test_a_token_whose_time_is_over_lets_nobody_in(
    door: Entry, tmp_path: Path, capsys: pytest.CaptureFixture[str], statement: str, message: str
) -> None:
    made = await door.token()
    await door.query(statement, made.id)
    assert await join(door.url, made.token, tmp_path / "agent", name="late1") == 4
    assert message in capsys.readouterr().err
    assert await door.query("SELECT 1 FROM peer_key WHERE name = 'late1'") == []
    assert await door.query("SELECT secret FROM enrolment_token WHERE id = %s", made.id) == [(None,)]


async def test_of_many_that_race_for_one_token_one_gets_in(door: Entry, tmp_path: Path) -> None:
    made = await door.token()
    racers = [f"racer{place}" for place in range(6)]
    codes = await all_of([join(door.url, made.token, tmp_path / name, name=name) for name in racers])
    assert sorted(codes) == [0, 4, 4, 4, 4, 4]
    found = await door.query("SELECT name FROM peer_key WHERE name LIKE 'racer%'")
    assert found == [(racers[codes.index(0)],)]
    assert door.refused["token_used"] == 5
    audited = await door.query("SELECT action FROM audit WHERE actor = %s ORDER BY id", f"token {made.id}")
    assert sorted(audited) == [("enrolment.join",)] + [("enrolment.refused",)] * 5


async def test_a_key_put_in_on_the_way_is_refused_and_the_token_stays_good(
    door: Entry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = await door.token()
    foreign = key_text(make_keys().public)
    async with in_the_middle(door, request=lambda body: altered(body, {"key": foreign})) as middle:
        assert await join(middle.url, made.token, tmp_path / "agent", name="honest1") == 4
    assert "somebody between the machines" in capsys.readouterr().err
    assert door.refused["not_proven"] == 1
    assert await join(door.url, made.token, tmp_path / "agent", name="honest1") == 0


async def test_collectors_put_in_on_the_way_are_not_believed(
    door: Entry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = await door.token()
    elsewhere = [{"endpoint": "tcp://10.0.0.66:7701", "key": key_text(make_keys().public)}]
    async with in_the_middle(door, answer=lambda body: altered(body, {"upstreams": elsewhere})) as middle:
        assert await join(middle.url, made.token, tmp_path / "agent", name="honest2") == 5
    assert "was not made with this token" in capsys.readouterr().err
    assert not (tmp_path / "agent" / "agent.toml").exists()


async def test_an_answer_without_its_proof_is_not_believed(door: Entry, tmp_path: Path) -> None:
    made = await door.token()

    def strip(body: bytes) -> bytes:
        return json.dumps(json.loads(body) | {"token": None, "mac": None}).encode()

    async with in_the_middle(door, answer=strip) as middle:
        assert await join(middle.url, made.token, tmp_path / "agent", name="honest3") == 5


async def test_the_answer_to_another_request_is_not_believed(door: Entry, tmp_path: Path) -> None:
    one, other = await door.token(), await door.token()
    async with in_the_middle(door) as middle:
        assert await join(middle.url, one.token, tmp_path / "one", name="honest4") == 0
    recorded = middle.answers[0]
    async with in_the_middle(door, answer=lambda _: recorded) as middle:
        assert await join(middle.url, other.token, tmp_path / "other", name="honest5") == 5


async def test_a_lost_answer_is_given_again_to_the_same_request(door: Entry, tmp_path: Path) -> None:
    made = await door.token()
    async with in_the_middle(door, loses_answers=True) as middle:
        code = await join(middle.url, made.token, tmp_path / "agent", "--wait", "1", name="unlucky1")
    assert code == 3
    assert len(await door.query("SELECT 1 FROM peer_key WHERE name = 'unlucky1'")) == 1
    assert await join(door.url, made.token, tmp_path / "agent", name="unlucky1") == 0
    assert len(await door.query("SELECT 1 FROM peer_key WHERE name = 'unlucky1'")) == 1


async def test_a_request_played_again_gets_nobody_else_in_and_nothing_once_the_token_expired(
    door: Entry, tmp_path: Path
) -> None:
    made = await door.token()
    async with in_the_middle(door) as middle:
        assert await join(middle.url, made.token, tmp_path / "agent", name="heard1") == 0
    status, _, found = await door.post(middle.requests[0])
    assert (status, json.dumps(found).encode()) == (200, middle.answers[0])
    assert len(await door.query("SELECT 1 FROM peer_key WHERE name = 'heard1'")) == 1
    await door.query("UPDATE enrolment_token SET expires_at = now() WHERE id = %s", made.id)
    status, _, found = await door.post(middle.requests[0])
    assert (status, found["error"]["code"]) == (403, "token_used")


async def test_a_guessed_secret_proves_nothing(door: Entry) -> None:
    made = await door.token()
    token = read_token(made.token)
    guessed = Token(id=token.id, secret=bytes(32))
    newcomer = Newcomer(name="guesser", key=make_keys().public, source=SOURCE, software="x")
    status, _, found = await door.post(pack(sign_request(guessed, write_request(newcomer))))
    assert (status, found["error"]["code"]) == (403, "not_proven")


async def test_a_newcomer_gets_no_host_that_is_there_unless_the_token_names_it(
    door: Entry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, third = await door.token(), await door.token(), await door.token(host="taken1")
    assert await join(door.url, first.token, tmp_path / "first", name="taken1") == 0
    assert await join(door.url, second.token, tmp_path / "second", name="taken1") == 4
    assert "there is a host taken1 already" in capsys.readouterr().err
    assert await join(door.url, third.token, tmp_path / "third", name="whatever") == 0
    assert tomllib.loads((tmp_path / "third" / "agent.toml").read_text())["name"] == "taken1"
    assert await join(door.url, second.token, tmp_path / "second", name="free1") == 0, "the refusal cost no token"


async def test_a_newcomer_cannot_speak_for_a_source_of_another_host(door: Entry, tmp_path: Path) -> None:
    first, second = await door.token(), await door.token(host="thief1")
    assert await join(door.url, first.token, tmp_path / "agent", name="owner1") == 0
    source = tomllib.loads((tmp_path / "agent" / "agent.toml").read_text())["source"]
    thief = tmp_path / "thief"
    thief.mkdir()
    (thief / "joining.json").write_text(json.dumps({"source": source}))
    assert await join(door.url, second.token, thief, name="thief1") == 4
    assert door.refused["source_known"] == 1
    ((name,),) = await door.query("SELECT name FROM source WHERE uuid = %s", source)
    assert name == "owner1"


@pytest.mark.parametrize("off_by_seconds", [-3600.0, 3600.0], ids=["ahead", "behind"])
async def test_a_wrong_clock_is_told_before_the_token_is_used_up(
    options: DatabaseOptions, tmp_path: Path, capsys: pytest.CaptureFixture[str], off_by_seconds: float
) -> None:
    async with entry(options, off_by_seconds=off_by_seconds) as door:
        made = await door.token()
        assert await join(door.url, made.token, tmp_path / "agent", name="untimely") == 6
        said = capsys.readouterr().err
        assert ("ahead of" if off_by_seconds < 0 else "behind") in said
        assert await door.query("SELECT used_at FROM enrolment_token WHERE id = %s", made.id) == [(None,)]


async def test_nobody_there_is_told_with_what_to_look_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    assert await join("http://127.0.0.1:1", TOKEN, tmp_path / "agent", name="lonely") == 3
    assert "nobody answers at 127.0.0.1:1 (Connection refused): check address" in capsys.readouterr().err
    assert time.monotonic() - began < 100  # it waits for approval for a quarter of an hour, but for nobody


@pytest.mark.parametrize("words", [("http://h:1/x", "wk-a"), ("ftp://h", None), ("http://h:99999", None)])
async def test_wrong_words_are_told_with_what_was_expected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, str | None]
) -> None:
    assert await join(*words, tmp_path / "agent", name="clumsy") == 2
    assert "expected http://HOST:PORT" in capsys.readouterr().err
    assert not (tmp_path / "agent").exists()


BAD = [
    b"", b"{}", b"[]", b"\xff\xff", b'{"text": 1, "token": null, "mac": null}', b"[" * 4000,
    b'{"text": "\\ud800", "token": null, "mac": null}', b'{"text": "{}", "token": "aaaaaaaaaaaaa", "mac": null}',
    b'{"text": "{}", "token": "AAAAAAAAAAAAA", "mac": "' + b"0" * 64 + b'"}',
    b'{"text": "[[[", "token": null, "mac": null}',
]  # fmt: skip


async def test_malformed_requests_are_refused_and_counted(door: Entry) -> None:
    for body in BAD:
        status, _, found = await door.post(body)
        assert (status, found["error"]["code"]) == (400, "malformed"), body
    assert door.refused["malformed"] == len(BAD)
    assert (await door.post(b"x" * 5000))[0] == 413
    assert door.refused["too_large"] == 1


async def test_one_address_may_not_ask_without_end(options: DatabaseOptions) -> None:
    async with entry(options, asks_a_minute=5) as door:
        statuses = [(await door.post(b"{}"))[0] for _ in range(5)]
        status, headers, found = await door.post(b"{}")
        assert (statuses, status, found["error"]["code"]) == ([400] * 5, 429, "too_many")
        assert 0 < int(headers["Retry-After"]) <= 60
        assert door.refused["too_many"] == 1


async def connect(door: Entry) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = door.url.removeprefix("http://").partition(":")
    return await asyncio.open_connection(host, int(port))


async def test_connections_of_one_address_are_few_and_idle_ones_are_closed(
    options: DatabaseOptions, tmp_path: Path
) -> None:
    async with entry(options, idle_seconds=120.0) as door:  # so that none of them is closed as idle
        crowd = [await connect(door) for _ in range(MOST_OF_AN_ADDRESS)]
        reader, writer = await connect(door)
        assert await asyncio.wait_for(reader.read(), 60) == b"", "one too many is cut at once"
        assert door.refused["crowd"] == 1
        for stranger in (writer, *(one for _, one in crowd)):
            stranger.close()
    async with entry(options, idle_seconds=1.0) as door:
        idle = [await connect(door) for _ in range(MOST_OF_AN_ADDRESS)]
        for each, _ in idle:
            assert await asyncio.wait_for(each.read(), 60) == b"", "who says nothing is not waited for"
        for _, stranger in idle:
            stranger.close()
        made = await door.token()
        assert await join(door.url, made.token, tmp_path / "agent", name="patient1") == 0
