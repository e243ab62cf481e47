"""The dispatcher over a real outbox and a real receiver."""

from __future__ import annotations

import asyncio
import gc
import json
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from core.runtime.clock import SystemClock
from core.runtime.counters import Counters
from server.escalation.dispatcher import Dispatcher, DispatchTerms
from server.escalation.retry import RetryTerms
from server.inventory.apply import apply, check_documents, propose
from server.inventory.check import documents_from_plain
from server.media.contract import Medium
from server.media.webhook import MEDIUM, send_webhook
from server.store import outbox
from server.store.database import Database
from server.store.definitions import Author
from server.store.errors import Fenced
from server.store.inventory import ensure_hosts
from server.store.lease import take
from server.store.problems import ProblemOpening, ProblemResolution, ensure_triggers, open_problems, resolve_problems
from server.store.transaction import Writer
from tests.support.waiting import PATIENCE_SECONDS, until, until_found

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from server.media.contract import Message
    from server.media.webhook import WebhookSettings
    from server.store.database import Connection, DatabaseOptions
    from tests.integration.media.receiver import WebhookReceiver

AT = datetime(2026, 11, 21, 10, tzinfo=UTC)
FAST = DispatchTerms(
    attempt_seconds=20.0,  # an attempt that a busy machine cut off would be one more than is counted on
    claim_seconds=40.0,
    retry=RetryTerms(first_seconds=0.05, longest_seconds=0.2, give_up_seconds=60.0),
)


def make(writer: Writer, secrets: Path, terms: DispatchTerms = FAST, **more: Any) -> Dispatcher:
    return Dispatcher(writer=writer, secrets=secrets, clock=SystemClock(), counters=Counters(), terms=terms, **more)


@asynccontextmanager
async def running(dispatcher: Dispatcher) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(dispatcher.run())
    try:
        yield task
    finally:
        await stop(task)


async def stop(task: asyncio.Task[None]) -> None:
    """Cut it off as a kill does: nothing it was doing goes on."""
    task.cancel()
    with suppress(asyncio.CancelledError, Fenced):
        await task


async def define(database: Database, **webhooks: dict[str, Any]) -> None:
    documents = [
        {"kind": "receiver", "name": name, "webhook": {"allow_private": True} | webhook}
        for name, webhook in webhooks.items()
    ]
    checked = check_documents(documents_from_plain(documents))
    proposal = await propose(database, checked, via="web")
    await apply(database, proposal, Author(name="test", via="web"))


async def open_problem(connection: Connection, parameter: str, *receivers: str) -> int:
    """Open a problem and owe a notice of it to each receiver, as the ingest transaction does; return its id."""
    host = (await ensure_hosts(connection, ["db1"]))["db1"]
    trigger = (await ensure_triggers(connection, [("t", "a")]))["t", "a"]
    opening = ProblemOpening(
        trigger_id=trigger, host_id=host, parameter=parameter, severity="high", name="A", at=AT, value=1.0
    )
    [event] = await open_problems(connection, [opening])
    await owe(connection, event.event_id, f"opened {parameter}", receivers)
    return event.problem_id


async def resolve_problem(connection: Connection, problem_id: int, label: str, *receivers: str) -> None:
    [event] = await resolve_problems(connection, [ProblemResolution(problem_id=problem_id, at=AT, value=0.0)])
    await owe(connection, event.event_id, label, receivers)


async def owe(connection: Connection, event_id: int, label: str, receivers: tuple[str, ...]) -> None:
    notices = [
        outbox.Notice(event_id=event_id, receiver=name, media="webhook", payload={"label": label}) for name in receivers
    ]
    await outbox.enqueue(connection, notices)


async def rows(database: Database) -> list[dict[str, Any]]:
    async with database.connection() as connection:
        cursor = await connection.execute(
            "SELECT key::text, receiver, attempts, sent_at, failed_at, last_error FROM outbox ORDER BY id"
        )
        names = ("key", "receiver", "attempts", "sent_at", "failed_at", "last_error")
        return [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]


async def until_rows(
    database: Database,
    condition: Callable[[list[dict[str, Any]]], Any],
    what: str,
    timeout_seconds: float = PATIENCE_SECONDS,
) -> list[dict[str, Any]]:
    async def matching() -> list[dict[str, Any]] | None:
        found = await rows(database)
        return found if condition(found) else None

    return await until_found(matching, timeout_seconds, what)


async def take_over(options: DatabaseOptions) -> Writer:
    """Become the active server of a second name, the first one's heartbeat having stopped long ago."""
    async with Database(options) as database, database.connection() as connection:
        await connection.execute("UPDATE lease_heartbeat SET at = '-infinity'")
    lease = await take(replace(options, server="two"), endpoint="there")
    assert lease is not None
    return Writer(replace(options, server="two"), lease.epoch)


def labels(receiver: WebhookReceiver) -> list[str]:
    return [json.loads(received.body)["label"] for received in receiver.received]


async def test_what_is_committed_is_told_at_once_and_receipted(
    database: Database, writer: Writer, receiver: WebhookReceiver, tmp_path: Path
) -> None:
    await define(database, night={"url": receiver.url()})
    dispatcher = make(writer, tmp_path, replace(FAST, look_again_seconds=60.0))
    async with running(dispatcher):
        await until(lambda: not dispatcher._woken.is_set(), what="the dispatcher at rest")
        loop = asyncio.get_running_loop()
        async with writer.transaction() as connection:
            await open_problem(connection, "a", "night")
        committed_at = loop.time()
        dispatcher.wake()
        await until(lambda: bool(receiver.received), what="the notice")
        assert loop.time() - committed_at < 30.0, "woken, not polled"
        [row] = await until_rows(database, lambda found: found[0]["sent_at"], "the receipt")
    assert row["attempts"] == 1
    assert row["last_error"] is None
    assert receiver.received[0].key == row["key"]


async def test_a_notice_says_where_its_problem_is_shown(
    database: Database, writer: Writer, receiver: WebhookReceiver, tmp_path: Path
) -> None:
    await define(database, night={"url": receiver.url()})
    async with writer.transaction() as connection:
        problem = await open_problem(connection, "a")
        cursor = await connection.execute("SELECT id FROM event WHERE problem_id = %s", (problem,))
        [event] = await cursor.fetchall()
        notice = outbox.Notice(event_id=event[0], receiver="night", media="webhook", payload={"problem": problem})
        await outbox.enqueue(connection, [notice])
    async with running(make(writer, tmp_path, replace(FAST, page_url="https://watchkeep.example.org/"))):
        await until(lambda: bool(receiver.received), what="the notice")
    body = json.loads(receiver.received[0].body)
    assert body["link"] == f"https://watchkeep.example.org/#/problems/{problem}"


@pytest.mark.trial("R13")
async def test_failures_are_tried_again_under_the_same_key_until_taken(
    database: Database, writer: Writer, receiver: WebhookReceiver, tmp_path: Path
) -> None:
    await define(database, night={"url": receiver.url()})
    receiver.answers = [
        web.Response(status=500), "hang", web.Response(status=302, headers={"Location": "/other"}), "break",
        web.Response(status=429),
    ]  # fmt: skip
    async with writer.transaction() as connection:
        await open_problem(connection, "a", "night")
    async with running(make(writer, tmp_path, replace(FAST, attempt_seconds=5.0))):
        [row] = await until_rows(database, lambda found: found[0]["sent_at"], "the receipt")
    assert not receiver.answers
    assert (
        row["attempts"] >= len(receiver.received) >= 6
    )  # a busy machine may cut one off that would have been answered
    assert {received.key for received in receiver.received} == {row["key"]}
    assert len({received.body for received in receiver.received}) == 1
    assert {received.path for received in receiver.received} == {"/hook"}


@pytest.mark.trial("R13")
async def test_killed_between_telling_and_receipt_the_next_epoch_tells_again_under_the_same_key(
    database: Database, options: DatabaseOptions, writer: Writer, receiver: WebhookReceiver, tmp_path: Path
) -> None:
    await define(database, night={"url": receiver.url()})
    told = asyncio.Event()

    async def send_and_stop(settings: WebhookSettings, message: Message, secrets: Path) -> str:
        answer = await send_webhook(settings, message, secrets)
        told.set()
        await asyncio.Event().wait()  # the receiver has it; the receipt never comes
        return answer

    async with writer.transaction() as connection:
        await open_problem(connection, "a", "night")
    slow = Medium(name="webhook", settings=MEDIUM.settings, send=send_and_stop)
    patient = replace(FAST, attempt_seconds=20.0, claim_seconds=30.0)
    async with running(make(writer, tmp_path, patient, media={"webhook": slow})) as first:
        await asyncio.wait_for(told.wait(), 60)
        await stop(first)
    assert (await rows(database))[0]["sent_at"] is None
    second = await take_over(options)
    assert second.epoch > writer.epoch
    try:
        async with running(make(second, tmp_path)):
            [row] = await until_rows(database, lambda found: found[0]["sent_at"], "the second server's receipt")
    finally:
        await second.close()
    assert [received.key for received in receiver.received] == [row["key"]] * 2, "one repeat, same key"


async def test_cancelled_at_any_moment_it_ends(database: Database, writer: Writer, tmp_path: Path) -> None:
    await define(database, night={"url": "http://127.0.0.1:9/"})
    async with writer.transaction() as connection:
        await open_problem(connection, "a", "night")
    for moment in range(80):
        task = asyncio.create_task(make(writer, tmp_path, replace(FAST, look_again_seconds=0.01)).run())
        for _ in range(moment):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=60)
        assert done, f"still running after it was cancelled in turn {moment}"
        assert task.cancelled()
    # A connection attempt cut off within authentication hangs on its traceback; PostgreSQL drops no database meanwhile.
    gc.collect()


async def test_a_dispatcher_whose_reign_is_over_stops_and_tells_nothing(
    database: Database, options: DatabaseOptions, writer: Writer, receiver: WebhookReceiver, tmp_path: Path
) -> None:
    await define(database, night={"url": receiver.url()})
    async with writer.transaction() as connection:
        await open_problem(connection, "a", "night")
    await (await take_over(options)).close()
    with pytest.raises(Fenced):
        await asyncio.wait_for(make(writer, tmp_path).run(), 60)
    assert receiver.received == []


@pytest.mark.trial("R13")
async def test_a_receiver_that_hangs_does_not_keep_others_waiting(
    database: Database, writer: Writer, receiver: WebhookReceiver, tmp_path: Path
) -> None:
    await define(database, hung={"url": receiver.url("/hung")}, night={"url": receiver.url("/night")})
    receiver.hung_paths = {"/hung"}
    async with writer.transaction() as connection:
        for number in range(40):
            await open_problem(connection, f"h{number}", "hung")
        await open_problem(connection, "n", "night")
    terms = replace(FAST, at_once=8, per_receiver=3, attempt_seconds=20.0, claim_seconds=30.0)
    async with running(make(writer, tmp_path, terms)):
        await until(lambda: "/night" in [r.path for r in receiver.received], what="the other receiver's notice")
        await until(lambda: len(receiver.received) == 4, what="its share")
        assert sum(r.path == "/hung" for r in receiver.received) == 3
        receiver.hung_paths = set()
        receiver.release.set()
        found = await until_rows(database, lambda found: all(row["sent_at"] for row in found), "all receipts")
    assert len(found) == 41
    assert len({r.key for r in receiver.received}) == len(receiver.received) == 41, "each told once"


async def test_the_end_of_a_problem_is_told_after_its_opening(
    database: Database, writer: Writer, receiver: WebhookReceiver, tmp_path: Path
) -> None:
    await define(database, night={"url": receiver.url()})
    receiver.answers = [web.Response(status=500), web.Response(status=500)]
    async with writer.transaction() as connection:
        problem = await open_problem(connection, "a", "night")
        await resolve_problem(connection, problem, "resolved a", "night")
    terms = replace(FAST, blocked_seconds=0.05)
    async with running(make(writer, tmp_path, terms)):
        await until_rows(database, lambda found: all(row["sent_at"] for row in found), "both receipts")
    assert labels(receiver) == ["opened a", "opened a", "opened a", "resolved a"]


async def test_what_is_refused_for_good_is_given_up_with_the_reason(
    database: Database, writer: Writer, receiver: WebhookReceiver, tmp_path: Path
) -> None:
    await define(database, night={"url": receiver.url()})
    receiver.answers = [web.Response(status=422)]
    async with writer.transaction() as connection:
        await open_problem(connection, "a", "night", "nobody")
    async with running(make(writer, tmp_path)):
        found = await until_rows(database, lambda found: all(row["failed_at"] for row in found), "both given up")
    assert "422" in found[0]["last_error"]
    assert "'nobody' is no longer defined" in found[1]["last_error"]
    assert len(receiver.received) == 1


async def test_a_notice_too_old_is_given_up(
    database: Database, writer: Writer, receiver: WebhookReceiver, tmp_path: Path
) -> None:
    await define(database, night={"url": receiver.url()})
    receiver.answers = [web.Response(status=500)] * 5000
    async with writer.transaction() as connection:
        await open_problem(connection, "a", "night")
    retry = RetryTerms(first_seconds=0.05, longest_seconds=0.05, give_up_seconds=600.0)
    async with running(make(writer, tmp_path, replace(FAST, retry=retry, blocked_seconds=0.05))):
        await until_rows(database, lambda found: found[0]["attempts"] >= 2, "two attempts")
        async with database.connection() as connection:
            await connection.execute("UPDATE outbox SET created_at = created_at - interval '11 minutes'")
        [row] = await until_rows(database, lambda found: found[0]["failed_at"], "given up")
    assert "given up after" in row["last_error"]
    assert row["attempts"] >= 2


@pytest.mark.trial("S-9")
async def test_a_corrected_receiver_gets_what_is_still_owed(
    database: Database, writer: Writer, receiver: WebhookReceiver, tmp_path: Path
) -> None:
    await define(database, night={"url": receiver.url(), "allow_private": False})
    async with writer.transaction() as connection:
        await open_problem(connection, "a", "night")
    async with running(make(writer, tmp_path, replace(FAST, blocked_seconds=0.05))):
        await until_rows(database, lambda found: "denied" in (found[0]["last_error"] or ""), "the denial")
        assert receiver.received == []
        await define(database, night={"url": receiver.url(), "allow_private": True})
        await until_rows(database, lambda found: found[0]["sent_at"], "the receipt")
    assert labels(receiver) == ["opened a"]


async def test_a_bug_in_a_medium_costs_an_attempt_not_the_dispatcher(
    database: Database, writer: Writer, receiver: WebhookReceiver, tmp_path: Path
) -> None:
    await define(database, night={"url": receiver.url()})
    calls = 0

    async def send_wrongly(settings: WebhookSettings, message: Message, secrets: Path) -> str:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise KeyError("a bug")
        return await send_webhook(settings, message, secrets)

    async with writer.transaction() as connection:
        await open_problem(connection, "a", "night")
    faulty = Medium(name="webhook", settings=MEDIUM.settings, send=send_wrongly)
    async with running(make(writer, tmp_path, media={"webhook": faulty})):
        [row] = await until_rows(database, lambda found: found[0]["sent_at"], "the receipt")
    assert row["attempts"] == 2


async def test_the_database_away_for_a_moment_loses_nothing(
    database: Database, options: DatabaseOptions, writer: Writer, receiver: WebhookReceiver, tmp_path: Path
) -> None:
    await define(database, night={"url": receiver.url()})

    async def cut_connections() -> None:
        async with database.connection() as connection:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )

    # What was claimed when its connection was cut is told when the claim has run out.
    terms = replace(FAST, attempt_seconds=2.0, claim_seconds=5.0, look_again_seconds=0.2)
    async with running(make(writer, tmp_path, terms)) as task:
        for number in range(5):
            await cut_connections()
            ingest = Writer(options, writer.epoch)
            async with ingest.transaction() as connection:
                await open_problem(connection, f"p{number}", "night")
            await ingest.close()
        await until_rows(database, lambda found: all(row["sent_at"] for row in found), "all receipts")
        assert not task.done()
    assert sorted(set(labels(receiver))) == [f"opened p{number}" for number in range(5)]
