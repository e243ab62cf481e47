"""One problem over real HTTP: acknowledged, noted, with its timeline; receivers tried; who would be told when."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from core.runtime.clock import SystemClock
from server.store import escalations
from server.store.outbox import Notice, enqueue, read_told
from tests.integration.api.data import resolve_problem, store_host, store_problem
from tests.integration.api.site import open_site
from tests.integration.media.escalating import define
from tests.integration.media.receiver import open_receiver

if TYPE_CHECKING:
    from pathlib import Path

    from server.store.database import Database
    from server.store.problems import ProblemEvent
    from tests.integration.api.site import Site


async def post(site: Site, path: str, body: dict[str, Any], status: int = 200) -> Any:
    async with site.browser.post(site.api(path), json=body) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json()


def hook(name: str, **more: Any) -> dict[str, Any]:
    return {"kind": "receiver", "name": name, "webhook": {"url": "https://chat.example.org/hooks/7"}} | more


@pytest.fixture
async def problem(database: Database) -> ProblemEvent:
    """An open problem of db1: taken by an escalation whose first step has told `night`, and told to `log` directly."""
    steps = [{"tell": ["night"], "every": "1h"}, {"after": "30m", "tell": ["boss"]}]
    await define(
        database, hook("night"), hook("boss"), hook("log"), hook("own", user="admin"),
        {"kind": "escalation", "name": "steps", "steps": [*steps, {"after": "1h", "tell": ["own"]}]},
    )  # fmt: skip
    host = await store_host(database, "db1")
    event = await store_problem(database, host, "Busy", datetime.now(UTC), severity="high")
    told = {"receiver": "night", "escalation": "steps", "step": 0, "repetition": 0}
    own = {"receiver": "own", "escalation": "steps", "step": 2, "repetition": 0}
    async with database.connection() as connection, connection.transaction():
        await escalations.start(connection, [(event.problem_id, "steps")])
        await enqueue(
            connection,
            [
                Notice(event_id=event.event_id, media="webhook", payload={"event": "opened"}, **each)
                for each in (told, own, {"receiver": "log"})
            ],
        )
    return event


async def test_a_problem_says_what_its_trigger_says_to_do(
    signed_in: Site, database: Database, problem: ProblemEvent
) -> None:
    path = f"/problems/{problem.problem_id}"
    assert (await signed_in.get(path))["description"] == ""
    busy = {"name": "Busy", "expression": "last(cpu.busy) > 90", "severity": "high", "description": "Look at top."}
    items = [{"probe": "cpu", "every": "10s"}]
    await define(database, {"kind": "template", "name": "linux-host", "items": items, "triggers": [busy]})
    assert (await signed_in.get(path))["description"] == "Look at top."


async def test_an_acknowledgement_is_kept_told_and_audited_in_one_piece(
    signed_in: Site, database: Database, problem: ProblemEvent
) -> None:
    path = f"/problems/{problem.problem_id}"
    before = await signed_in.get(path)
    assert before["acknowledgement"] is None
    assert [(each["receiver"], each["step"], each["repetition"]) for each in before["due"]] == [
        ("boss", 2, 1), ("night", 1, 2),
    ]  # fmt: skip
    after = await post(signed_in, f"{path}/acknowledgement", {"note": "mine\nall of it"})
    assert after["acknowledgement"]["by"] == "admin"
    assert after["acknowledgement"]["note"] == "mine\nall of it"
    assert after["due"] == [], "every step waits for an acknowledgement"
    kinds = [(each["kind"], each["by"]) for each in after["timeline"]]
    assert sorted(kinds) == sorted(
        [("opened", None), ("waiting", "night"), ("waiting", "own"), ("waiting", "log"), ("acknowledged", "admin"),
         ("waiting", "night")]
    ), "told by the escalation: hears it; told directly, or its author: does not"  # fmt: skip
    async with database.connection() as connection:
        told = await read_told(connection, [problem.problem_id])
    assert [(each.receiver, each.kind) for each in told[3:]] == [("night", "acknowledged")]
    refused = await post(signed_in, f"{path}/acknowledgement", {}, 409)
    assert refused["error"]["code"] == "acknowledged"
    [entry] = (await signed_in.get("/audit", action="problem.acknowledge"))["entries"]
    assert entry["object"] == f"problem/{problem.problem_id}"
    [listed] = (await signed_in.get("/problems"))["problems"]
    assert listed["acknowledgement"]["by"] == "admin"


async def test_of_many_who_acknowledge_at_once_one_does(
    signed_in: Site, database: Database, problem: ProblemEvent
) -> None:
    async def ask() -> int:
        address = signed_in.api(f"/problems/{problem.problem_id}/acknowledgement")
        async with signed_in.browser.post(address, json={}) as answer:
            return answer.status

    assert sorted(await asyncio.gather(*(ask() for _ in range(4)))) == [200, 409, 409, 409]
    async with database.connection() as connection:
        told = await read_told(connection, [problem.problem_id])
    assert sum(each.kind == "acknowledged" for each in told) == 1


async def test_notes_are_told_while_the_problem_is_open_and_kept_after(
    signed_in: Site, database: Database, problem: ProblemEvent
) -> None:
    path = f"/problems/{problem.problem_id}"
    await post(signed_in, f"{path}/notes", {"text": "looking"})
    await resolve_problem(database, problem, datetime.now(UTC))
    after = await post(signed_in, f"{path}/notes", {"text": "it was the disk"})
    assert [each["text"] for each in after["timeline"] if each["kind"] == "note"] == ["looking", "it was the disk"]
    async with database.connection() as connection:
        told = await read_told(connection, [problem.problem_id])
    assert [each.receiver for each in told if each.kind == "note"] == ["night"]
    refused = await post(signed_in, f"{path}/acknowledgement", {}, 409)
    assert refused["error"]["code"] == "over"
    await post(signed_in, f"{path}/notes", {"text": "bell \u0007"}, 400)
    await post(signed_in, "/problems/999/notes", {"text": "x"}, 404)


async def test_a_receiver_is_tried_by_each_medium_with_the_reason_when_it_fails(
    database: Database, tmp_path: Path
) -> None:
    async with open_receiver() as receiver, open_site(database, SystemClock(), secrets=tmp_path) as site:
        assert await site.sign_in() == 200
        await define(
            database,
            {
                "kind": "receiver", "name": "night",
                "webhook": {"url": receiver.url(), "allow_private": True},
                "email": {"host": "127.0.0.1", "port": 1, "from": "w@example.org", "to": ["a@example.org"]},
            },
        )  # fmt: skip
        outcomes = (await post(site, "/receivers/night/test", {}))["outcomes"]
        await post(site, "/receivers/nobody/test", {}, 404)
    assert [(each["medium"], each["state"]) for each in outcomes] == [("webhook", "taken"), ("email", "failed")]
    assert "reached" in outcomes[1]["error"]
    assert b'"event":"test"' in receiver.received[0].body


async def test_who_would_be_told_when_is_answered_before_anything_happens(
    signed_in: Site, problem: ProblemEvent
) -> None:
    del problem
    found = (await signed_in.get("/escalations/preview", host="db1", severity="high"))["tellings"]
    assert [(each["receiver"], each["after_seconds"], each["every_seconds"], each["step"]) for each in found] == [
        ("log", 0, None, 0), ("night", 0, 3600, 1), ("boss", 1800, None, 2), ("own", 3600, None, 3),
    ]  # fmt: skip
