"""What escalations need around them: definitions, a problem, its end, and whoever goes on with both."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from core.runtime.clock import SystemClock
from core.runtime.counters import Counters
from server.escalation.audience import Audience
from server.escalation.dispatcher import Dispatcher, DispatchTerms
from server.escalation.escalator import Escalator, EscalatorTerms
from server.escalation.payload import happening_of
from server.escalation.retry import RetryTerms
from server.escalation.telling import Occurrence, notices_of_ends
from server.inventory.apply import apply, check_documents, propose
from server.inventory.check import documents_from_plain
from server.inventory.effective import Inventory
from server.store import escalations, outbox
from server.store.definitions import Author, read_definitions
from server.store.errors import Fenced
from server.store.inventory import ensure_hosts
from server.store.problems import (
    ProblemOpening,
    ProblemResolution,
    ensure_triggers,
    find_problem,
    open_problems,
    resolve_problems,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from server.store.database import Connection, Database
    from server.store.transaction import Writer

FAST = DispatchTerms(
    claim_seconds=40.0, look_again_seconds=0.2,
    retry=RetryTerms(first_seconds=0.05, longest_seconds=0.2, give_up_seconds=600.0),
)  # fmt: skip


async def define(database: Database, *documents: dict[str, Any]) -> Audience:
    """Make definitions hold, and return the audience they make."""
    checked = check_documents(documents_from_plain(documents))
    proposal = await propose(database, checked, via="web")
    assert proposal.faults == []
    await apply(database, proposal, Author(name="test", via="web"))
    return await read_audience(database)


async def read_audience(database: Database) -> Audience:
    async with database.connection() as connection:
        return Audience.draw(Inventory.from_stored(1, await read_definitions(connection)))


async def open_problem(connection: Connection, audience: Audience, parameter: str = "", severity: str = "high") -> int:
    """Open a problem on db1 and start what takes it, as the ingest transaction does; return its number."""
    host = (await ensure_hosts(connection, ["db1"]))["db1"]
    trigger = (await ensure_triggers(connection, [("t", "a")]))["t", "a"]
    opening = ProblemOpening(
        trigger_id=trigger, host_id=host, parameter=parameter, severity=severity, name="A", at=datetime.now(UTC),
        value=1.0,
    )  # fmt: skip
    [event] = await open_problems(connection, [opening])
    names = audience.escalations_of("db1", severity)
    await escalations.start(connection, [(event.problem_id, name) for name in names])
    return event.problem_id


async def end_problem(connection: Connection, audience: Audience, problem_id: int) -> None:
    """Resolve a problem and owe who was told the news, as the ingest transaction does."""
    now = datetime.now(UTC)
    [event] = await resolve_problems(connection, [ProblemResolution(problem_id=problem_id, at=now, value=0.0)])
    problem = await find_problem(connection, problem_id)
    assert problem is not None
    ended = Occurrence(event_id=event.event_id, happening=happening_of(problem, "resolved"))
    await outbox.enqueue(connection, await notices_of_ends(connection, [ended], audience, now))


@asynccontextmanager
async def telling(writer: Writer, audience: Audience, secrets: Path) -> AsyncIterator[None]:
    """Run what an active server runs to tell of problems."""
    clock, counters = SystemClock(), Counters()
    dispatcher = Dispatcher(writer=writer, secrets=secrets, clock=clock, counters=counters, terms=FAST)
    escalator = Escalator(
        writer=writer, audience=lambda: audience, clock=clock, counters=counters, notify=dispatcher.wake,
        terms=EscalatorTerms(look_again_seconds=0.2),
    )  # fmt: skip
    tasks = [asyncio.create_task(dispatcher.run()), asyncio.create_task(escalator.run())]
    try:
        yield
        assert not any(task.done() for task in tasks), "a task ended by itself"
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError, Fenced):
                await task
