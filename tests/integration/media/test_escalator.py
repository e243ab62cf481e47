"""Escalations over a real database, a real web server and a real relay."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from server.escalation.payload import happening_of
from server.escalation.telling import Occurrence, notices_of_updates
from server.store import outbox
from server.store.escalations import seconds_until_due
from server.store.problems import find_problem
from server.store.remarks import acknowledge
from tests.integration.media.escalating import define, end_problem, open_problem, read_audience, telling
from tests.integration.media.relay import open_relay
from tests.support.waiting import until, until_found

if TYPE_CHECKING:
    from pathlib import Path

    from server.store.database import Database
    from server.store.transaction import Writer
    from tests.integration.media.receiver import Received, WebhookReceiver


def hook(receiver: WebhookReceiver, name: str, **more: Any) -> dict[str, Any]:
    webhook = {"url": receiver.url(f"/{name}"), "allow_private": True}
    return {"kind": "receiver", "name": name, "webhook": webhook} | more


def escalation(*steps: dict[str, Any], name: str = "night", **more: Any) -> dict[str, Any]:
    return {"kind": "escalation", "name": name, "steps": list(steps)} | more


def events(received: list[Received], path: str) -> list[str]:
    return [json.loads(each.body)["event"] for each in received if each.path == path]


async def test_steps_repeats_acknowledgement_and_end_reach_exactly_whom_they_concern(
    database: Database, writer: Writer, receiver: WebhookReceiver, tmp_path: Path
) -> None:
    async with open_relay(tmp_path) as relay:
        mail = {"host": "127.0.0.1", "port": relay.port, "from": "w@example.org", "to": ["anna@example.org"],
                "user": "watchkeep", "password_file": "smtp.password", "ca_file": "relay-ca.pem"}  # fmt: skip
        audience = await define(
            database,
            hook(receiver, "first"),
            {"kind": "receiver", "name": "anna", "email": mail, "user": "anna"},
            hook(receiver, "boss"),
            hook(receiver, "log"),
            escalation(
                {"tell": ["first"], "every": "1s"},
                {"after": "1s", "tell": ["anna"]},
                {"after": "1h", "tell": ["boss"]},
            ),
        )
        assert [each.name for each in audience.at_once] == ["log"], "told directly, since no escalation names it"
        async with telling(writer, audience, tmp_path):
            async with writer.transaction() as connection:
                problem_id = await open_problem(connection, audience)
            await until(lambda: len(events(receiver.received, "/first")) >= 3 and bool(relay.mails), 60, "the steps")
            async with database.connection() as connection, connection.transaction():
                remark = await acknowledge(connection, problem_id, by="anna", text="mine")
                problem = await find_problem(connection, problem_id)
                assert remark is not None
                assert problem is not None
                happening = happening_of(problem, "acknowledged", by="anna", at=remark.at, text="mine")
                update = Occurrence(event_id=remark.event_id, happening=happening)
                await outbox.enqueue(connection, await notices_of_updates(connection, [update], audience, remark.at))
            await until(lambda: "acknowledged" in events(receiver.received, "/first"), 60, "the acknowledgement")
            async with writer.transaction() as connection:
                await end_problem(connection, audience, problem_id)
            await until(lambda: "resolved" in events(receiver.received, "/first"), 60, "the end")
            await until(lambda: len(relay.mails) == 2, 60, "the end by mail")
    heard = events(receiver.received, "/first")
    repeats = heard.count("reminder")
    assert heard == ["opened", *["reminder"] * repeats, "acknowledged", "resolved"]
    assert repeats >= 2
    keys = Counter(each.key for each in receiver.received)
    assert set(keys.values()) == {1}
    assert events(receiver.received, "/boss") == [], "never told of the opening, so not of the end"
    opened, resolved = relay.mails
    assert resolved["References"] == opened["Message-ID"], "and none for anna's own acknowledgement between"
    told = json.loads(receiver.received[1].body)
    assert (told["escalation"], told["step"], told["repetition"]) == ("night", 1, 2)
    async with database.connection() as connection:
        assert await seconds_until_due(connection) is None, "nothing is under way after the end"


async def test_a_receiver_with_hours_is_told_when_they_begin_and_of_nothing_that_was_over_before(
    database: Database, writer: Writer, receiver: WebhookReceiver, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    begin, end = now + timedelta(hours=2), now + timedelta(hours=4)
    later = f"{begin:%H:%M}-{end:%H:%M} UTC"
    audience = await define(database, hook(receiver, "office", hours=later), hook(receiver, "log"))
    async with telling(writer, audience, tmp_path):
        async with writer.transaction() as connection:
            over = await open_problem(connection, audience, "over")
            lasting = await open_problem(connection, audience, "lasting")
        async with database.connection() as connection:
            assert await seconds_until_due(connection) is not None, "the escalations are under way"
        async with writer.transaction() as connection:
            await end_problem(connection, audience, over)
    assert receiver.received == []
    audience = await define(database, hook(receiver, "office", hours="00:00-24:00 UTC"))
    async with telling(writer, audience, tmp_path):
        await until(lambda: bool(receiver.received), 60, "what was held")
    assert [json.loads(each.body)["problem"] for each in receiver.received] == [lasting]


async def test_an_end_outside_the_hours_is_held_and_does_not_grow_old_meanwhile(
    database: Database, writer: Writer, receiver: WebhookReceiver, tmp_path: Path
) -> None:
    always = await define(database, hook(receiver, "office", hours="00:00-24:00 UTC"))
    async with telling(writer, always, tmp_path):
        async with writer.transaction() as connection:
            problem_id = await open_problem(connection, always)

        async def opening_is_sent() -> bool | None:
            async with database.connection() as connection:
                told = await outbox.read_told(connection, [problem_id])
            return any(each.state == "sent" for each in told) or None

        await until_found(opening_is_sent, 60, "the receipt of the opening")
        begin = datetime.now(UTC) + timedelta(hours=2)
        closed = await define(
            database, hook(receiver, "office", hours=f"{begin:%H:%M}-{begin + timedelta(hours=1):%H:%M} UTC")
        )
        async with writer.transaction() as connection:
            await end_problem(connection, closed, problem_id)
    async with database.connection() as connection:
        opened, resolved = await outbox.read_told(connection, [problem_id])
    assert (opened.state, resolved.state, resolved.attempts) == ("sent", "waiting", 0)
    assert resolved.due_at == resolved.created_at == begin.replace(second=0, microsecond=0)


async def test_who_does_not_want_ends_or_updates_gets_none(
    database: Database, writer: Writer, receiver: WebhookReceiver, tmp_path: Path
) -> None:
    audience = await define(
        database, hook(receiver, "quiet"), hook(receiver, "loud"),
        escalation({"tell": ["quiet"]}, name="brief", recovery=False, updates=False),
        escalation({"tell": ["loud"]}, name="full", **{"for": {"severities": ["high"], "tags": {"rack": "a4"}}}),
        {"kind": "host", "name": "db1", "tags": {"rack": "a4"}},
    )  # fmt: skip
    async with telling(writer, audience, tmp_path):
        async with writer.transaction() as connection:
            problem_id = await open_problem(connection, audience)
        await until(lambda: len(receiver.received) == 2, 60, "both openings")
        async with writer.transaction() as connection:
            await end_problem(connection, audience, problem_id)
        await until(lambda: len(receiver.received) == 3, 60, "the end")
    assert events(receiver.received, "/quiet") == ["opened"]
    assert events(receiver.received, "/loud") == ["opened", "resolved"]
    assert (await read_audience(database)).escalations_of("db1", "warning") == ["brief"]


async def test_a_changed_escalation_holds_for_the_problems_it_has_taken(
    database: Database, writer: Writer, receiver: WebhookReceiver, tmp_path: Path
) -> None:
    audience = await define(
        database,
        hook(receiver, "first"),
        hook(receiver, "boss"),
        escalation({"after": "1h", "tell": ["first", "boss"]}),
    )
    async with telling(writer, audience, tmp_path), writer.transaction() as connection:
        await open_problem(connection, audience)
    changed = await define(database, escalation({"tell": ["boss"]}, {"after": "1h", "tell": ["first"]}))
    async with telling(writer, changed, tmp_path):
        await until(lambda: bool(receiver.received), 60, "the earlier step")
    assert [each.path for each in receiver.received] == ["/boss"]
