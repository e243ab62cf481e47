"""Takes escalations that are due, asks the policy, and writes what is owed and when to look again in one transaction.

Invariants: a notice of a step is written together with the instant of the next look, under a key made of what it is,
so that whoever goes on after a kill finds it done or does the same; a problem's end cannot come between the question
whether it is open and the notice, since its row is held meanwhile. All instants are those of the database's clock.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid5

from core.runtime.logging import Log
from server.escalation.payload import happening_of, write_payload
from server.store import escalations, outbox
from server.store.errors import StoreAway
from server.store.outbox import Notice
from triggers.escalation.policy import Situation, Told, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from core.runtime.clock import Clock
    from core.runtime.counters import Counters
    from server.escalation.audience import Audience
    from server.store.database import Connection
    from server.store.escalations import DueEscalation
    from server.store.outbox import Told as StoredTold
    from server.store.problems import Problem
    from server.store.transaction import Writer
    from triggers.escalation.policy import Telling

log = Log("escalator")

KEY_SPACE: Final = UUID("8f0c2f0a-5f0e-4d0b-9b7e-3f6a1c5d2e41")
_STORE_PAUSES: Final = (0.05, 0.2, 0.5, 1.0, 2.0)
_SOONEST: Final = timedelta(milliseconds=100)
_AFTER_A_BUG: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class EscalatorTerms:
    """Bounds of the escalator: escalations in one transaction, and how often it looks without being woken."""

    at_once: int = 100
    look_again_seconds: float = 5.0
    held_up_seconds: float = 0.2


class Escalator:
    """Goes on with every escalation under way until cancelled or fenced. One per reign, made with its writer."""

    def __init__(
        self,
        *,
        writer: Writer,
        audience: Callable[[], Audience],
        clock: Clock,
        counters: Counters,
        notify: Callable[[], None],
        terms: EscalatorTerms | None = None,
    ) -> None:
        self._writer = writer
        self._audience = audience
        self._clock = clock
        self._counters = counters
        self._notify = notify
        self._terms = terms or EscalatorTerms()
        self._woken = asyncio.Event()
        self._judged_by: Audience | None = None

    def wake(self) -> None:
        """Look at once: an escalation may have started. Never waits."""
        self._woken.set()

    async def run(self) -> None:
        """Judge what is due until cancelled. Raises Fenced when another server took over."""
        pauses = 0
        while True:
            self._woken.clear()
            try:
                pause = await self._round()
            except StoreAway as error:
                if not pauses:
                    log.warning("escalations wait for the database", error=error)
                pause = _STORE_PAUSES[min(pauses, len(_STORE_PAUSES) - 1)]
                pauses += 1
            else:
                pauses = 0
            await self._wait(pause)

    async def _round(self) -> float:
        """Judge as long as something is due; return how long there is nothing to do."""
        audience = self._audience()
        if audience is not self._judged_by:  # also at the begin of a reign: what is defined may have changed meanwhile
            async with self._writer.transaction() as connection:
                await escalations.review(connection)
            self._judged_by = audience
        while await self._judge_some(audience) == self._terms.at_once:
            pass
        async with self._writer.database.connection() as connection:
            due = await escalations.seconds_until_due(connection)
        longest = self._terms.look_again_seconds
        if due is not None and due <= 0:  # held by a transaction of ingest
            return self._terms.held_up_seconds
        return longest if due is None else min(due, longest)

    async def _judge_some(self, audience: Audience) -> int:
        async with self._writer.transaction() as connection:
            claimed = await escalations.claim(connection, self._terms.at_once)
            if not claimed:
                return 0
            now = await escalations.read_now(connection)
            problem_ids = {each.problem_id for each in claimed}
            problems = await escalations.read_problems_by_id(connection, problem_ids)
            told: dict[int, list[StoredTold]] = defaultdict(list)
            for each in await outbox.read_told(connection, problem_ids):
                told[each.problem_id].append(each)
            notices: list[Notice] = []
            looks: list[tuple[DueEscalation, datetime | None]] = []
            heard: set[tuple[int, str, str]] = {
                (each.problem_id, each.receiver, each.media) for those in told.values() for each in those
            }
            for due in claimed:
                try:
                    owed, look = _judge(due, problems[due.problem_id], told[due.problem_id], audience, now, heard)
                except Exception as error:  # noqa: BLE001 - the supervisor of one escalation: a bug must not stop the others
                    log.crash("an escalation failed by a bug", error, problem=due.problem_id, escalation=due.name)
                    owed, look = [], now + _AFTER_A_BUG
                notices += owed
                looks.append((due, look))
            await self._write(connection, notices, looks)
        if notices:
            self._counters.add("escalations.notices", len(notices))
            self._notify()
        return len(claimed)

    async def _write(
        self, connection: Connection, notices: list[Notice], looks: list[tuple[DueEscalation, datetime | None]]
    ) -> None:
        await outbox.enqueue(connection, notices)
        await escalations.reschedule(connection, looks)

    async def _wait(self, seconds: float) -> None:
        woken = asyncio.create_task(self._woken.wait())
        asleep = asyncio.create_task(self._clock.sleep(seconds))
        try:
            await asyncio.wait({woken, asleep}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()
            asleep.cancel()


def _judge(
    due: DueEscalation,
    problem: Problem,
    told: Iterable[StoredTold],
    audience: Audience,
    now: datetime,
    heard: set[tuple[int, str, str]],
) -> tuple[list[Notice], datetime | None]:
    """Return what one escalation owes now and when to look again; `heard` grows by whom it tells."""
    steps = audience.steps.get(due.name)
    if steps is None:  # no longer defined; it is judged again when definitions change
        return [], None
    judgement = judge(situation_of(problem), steps, audience.reachable, told_by(due.name, told), now)
    notices = []
    for telling in judgement.due:
        address = (problem.id, telling.receiver, telling.medium)
        happening = happening_of(
            problem,
            "reminder" if address in heard else "opened",
            escalation=due.name or None,
            step=telling.step + 1 if due.name else None,
            repetition=telling.repetition + 1 if due.name else None,
        )
        heard.add(address)
        notices.append(
            Notice(
                event_id=due.event_id,
                receiver=telling.receiver,
                media=telling.medium,
                payload=write_payload(happening),
                key=key_of(problem, due.name, telling),
                escalation=due.name,
                step=telling.step,
                repetition=telling.repetition,
            )
        )
    look = judgement.look_again_at
    return notices, None if look is None else max(look, now + _SOONEST)


def situation_of(problem: Problem) -> Situation:
    """Return what the policy has to know of a problem."""
    return Situation(
        severity=problem.severity,
        known_at=problem.opened_stored_at,
        is_open=problem.resolved_at is None,
        is_acknowledged=problem.acknowledged_at is not None,
    )


def told_by(name: str, told: Iterable[StoredTold]) -> list[Told]:
    """Sum up what an escalation told of one problem, by step and address; `told` is oldest first."""
    found: dict[tuple[int, str, str], Told] = {}
    for each in told:
        if each.escalation == name and each.step is not None and each.repetition is not None:
            found[each.step, each.receiver, each.media] = Told(
                step=each.step,
                receiver=each.receiver,
                medium=each.media,
                count=each.repetition + 1,
                last_at=each.created_at,
                is_waiting=each.state == "waiting",
            )
    return list(found.values())


def key_of(problem: Problem, escalation: str, telling: Telling) -> UUID:
    """Return the idempotency key of a step's notice: made of what it is, so that nobody can owe it twice.

    Numbers of problems come again in another installation, to which the same receivers may listen; instants do not.
    """
    place = (telling.step, telling.repetition, telling.receiver, telling.medium)
    what = (problem.id, problem.opened_stored_at.timestamp(), escalation, *place)
    return uuid5(KEY_SPACE, "/".join(str(part) for part in what))
