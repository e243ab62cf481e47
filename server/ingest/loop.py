"""The ingest loop: gather, screen, write in one transaction, and after COMMIT remember and acknowledge.

Invariants: memory (ledger, dictionaries, evaluator, open problems) changes only after COMMIT; nothing is acknowledged
before. A group whose transaction failed is tried again until it is stored, known stored, or taken apart to the record
the database refuses, which goes to quarantine. One group at a time, so the order within a source holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol
from uuid import UUID

from core.runtime.logging import Log
from server.ingest.announce import write_events
from server.intake.screening import Refused, believable, numbers_of, screen
from server.store.errors import StoreAway, StoreRefused
from server.store.instants import to_datetime
from server.store.quarantine import PoisonRecord, quarantine
from server.store.received import ReceivedDelta, have_ended, record_received
from server.store.transaction import OutcomeUnknown, settle_outcome

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import timedelta

    from core.runtime.clock import Clock
    from core.runtime.counters import Counters
    from server.escalation.audience import Audience
    from server.evaluation.watch import Watch
    from server.ingest.group import Effects, GroupWriter
    from server.ingest.waiting import WaitingRoom
    from server.intake.dictionaries import Dictionaries
    from server.intake.directory import Directory
    from server.intake.ledger import Ledger
    from server.intake.reception import Reception
    from server.intake.screening import Arrival, Screened
    from server.store.transaction import Writer
    from triggers.evaluation import Judge, Staged

log = Log("ingest")

GROUP_VALUES: Final = 50_000
GROUP_SECONDS: Final = 0.02
TICK_SECONDS: Final = 1.0
RETRY_SECONDS: Final = (0.05, 0.1, 0.2, 0.5, 1.0)


class Listener(Protocol):
    """Whom ingest tells what was committed; called between transactions, so it must not wait."""

    def stored(self, arrivals: Sequence[Arrival]) -> None:
        """These records are committed, now or before."""

    def refused(self, refusals: Sequence[Refused]) -> None:
        """These records never will be stored."""

    def committed(self, effects: Effects) -> None:
        """A group was committed; new items and notices may be among its effects."""

    def noticed(self) -> None:
        """A timer found problems, whose notices are committed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestParts:
    """What the loop works with, opened by the reign and closed by it."""

    writer: Writer
    reception: Reception
    ledger: Ledger
    dictionaries: Dictionaries
    watch: Watch
    group_writer: GroupWriter
    waiting: WaitingRoom
    audience: Callable[[], Audience]
    directory: Callable[[], Directory]
    judge: Callable[[], Judge]
    listener: Listener
    prepare: Callable[[], Awaitable[None]]
    clock: Clock
    counters: Counters
    kept_for: Callable[[], timedelta]


class Ingest:
    """Runs until cancelled, or until another server has taken over (Fenced)."""

    def __init__(self, parts: IngestParts) -> None:
        self._parts = parts
        self._next_tick = 0.0
        self._is_finishing = False

    def finish(self) -> None:
        """Let `run` return once the group under way is stored."""
        self._is_finishing = True
        self._parts.reception.wake()

    async def run(self) -> None:
        """Ingest until told to finish. Cancelled between groups or within one, nothing is half done.

        Raises Fenced, MemoryBehind.
        """
        parts = self._parts
        while not self._is_finishing:
            await parts.prepare()
            arrivals = await parts.reception.gather(GROUP_VALUES, GROUP_SECONDS, TICK_SECONDS)
            arrivals = parts.waiting.take_ready(parts.dictionaries) + arrivals
            if arrivals:
                await self._store(arrivals)
            expired = parts.waiting.take_expired(
                parts.dictionaries, parts.clock.monotonic(), is_behind=parts.reception.is_behind
            )
            for arrival in expired:
                await self._quarantine(arrival, "its dictionary never came")
            await self._tick_when_due()

    async def _store(self, arrivals: Sequence[Arrival]) -> None:
        """Store a group whatever it takes; when the database refuses its data, in halves."""
        try:
            await self._store_whole(arrivals)
        except StoreRefused as error:
            if len(arrivals) > 1:
                middle = len(arrivals) // 2
                await self._store(arrivals[:middle])
                await self._store(arrivals[middle:])
                return
            log.error("a record is refused by the database and quarantined", error=error, **_name(arrivals[0]))
            await self._quarantine(arrivals[0], str(error))

    async def _store_whole(self, arrivals: Sequence[Arrival]) -> None:
        parts = self._parts
        attempt = 0
        while True:
            now_us = parts.clock.now_us()
            screened = screen(arrivals, parts.ledger, parts.directory(), believable(now_us, parts.kept_for()))
            try:
                effects = await self._transact(screened, now_us)
            except StoreAway as error:
                await self._pause(error, attempt)
                attempt += 1
            else:
                self._finish(screened, effects)
                return

    async def _transact(self, screened: Screened, now_us: int) -> Effects | None:
        """Write the group; None when there was nothing to write. The watch is as before when this raises.

        Raises StoreAway when the group is not stored, for certain.
        """
        parts = self._parts
        if not screened.admitted and not screened.repeated and not any(refusal.source for refusal in screened.refused):
            return None
        effects: Effects | None = None
        problems = parts.watch.snapshot()
        try:
            try:
                async with parts.writer.transaction() as connection:
                    effects = await parts.group_writer.write(connection, screened, now_us)
            except OutcomeUnknown as error:
                if effects is None or not await self._was_committed(error, effects):
                    raise
        except BaseException:
            parts.watch.restore(problems)
            if effects is not None and effects.staged is not None:
                effects.staged.drop()
            raise
        if effects.staged is not None:
            effects.staged.commit()
        parts.ledger.commit(effects.deltas)
        parts.dictionaries.commit(effects.dictionaries)
        return effects

    async def _was_committed(self, error: OutcomeUnknown, effects: Effects) -> bool:
        """Find out what became of a COMMIT whose answer was lost: the ranges tell, once the old backend is gone."""
        parts = self._parts
        lives = {(delta.source_id, delta.boot) for delta in effects.deltas}
        attempt = 0
        while True:
            try:
                stored = await settle_outcome(parts.writer.database, error.backend, lives)
                break
            except StoreAway as away:
                await self._pause(away, attempt)
                attempt += 1
        was_committed = have_ended(effects.deltas, stored)
        parts.counters.add("ingest.unknown_commits")
        log.warning("the answer to a commit was lost; the store tells", was_committed=was_committed)
        return was_committed

    def _finish(self, screened: Screened, effects: Effects | None) -> None:
        """Say what has become of every record of the group."""
        parts = self._parts
        refused = list(screened.refused)
        done = list(screened.duplicates)
        done += [] if effects is None else [admitted.arrival for admitted in effects.repeated]
        if effects is not None and effects.waiting:
            waiting = {(each.arrival.life_key, each.arrival.header.number) for each in effects.waiting}
            # A second copy of a record that waits has not ended either: nobody may forget it yet.
            done = [each for each in done if (each.life_key, each.header.number) not in waiting]
        if effects is not None:
            done += [admitted.arrival for admitted in effects.stored]
            refused += [Refused(admitted.arrival, admitted.source, reason) for admitted, reason in effects.poison]
            parts.waiting.add(effects.waiting)
            parts.counters.add("ingest.stored_values", effects.value_count)
            parts.counters.add("ingest.stored_records", len(effects.stored))
            parts.counters.add("ingest.groups")
            if effects.foreign_values:
                parts.counters.add("ingest.foreign_values", effects.foreign_values)
            if effects.unkept_losses:
                parts.counters.add("ingest.unkept_losses", effects.unkept_losses)
            parts.listener.committed(effects)
        repeats = len(screened.duplicates)
        if effects is not None:
            reissued = effects.reissued.total()
            repeats += len(effects.repeated) - reissued
            parts.counters.add("ingest.reissued_records", reissued)
        parts.counters.add("ingest.duplicate_records", repeats)
        if done:
            parts.listener.stored(done)
        if refused:
            parts.counters.add("ingest.refused_records", len(refused))
            parts.listener.refused(refused)

    async def _quarantine(self, arrival: Arrival, reason: str) -> None:
        parts = self._parts
        source = parts.directory().sources[arrival.header.source]
        header = arrival.header
        number = numbers_of([arrival])[arrival.life_key]
        delta = ReceivedDelta(source_id=source.id, boot=header.boot, refused=number)
        poison = PoisonRecord(
            source=UUID(bytes=header.source),
            boot=header.boot,
            number=header.number,
            reason=reason,
            record=bytes(arrival.record),
        )
        attempt = 0
        while True:
            try:
                async with parts.writer.transaction() as connection:
                    await quarantine(connection, [poison])
                    await record_received(connection, [delta])
                break
            except StoreAway as error:  # an unknown outcome too: quarantining twice is harmless
                await self._pause(error, attempt)
                attempt += 1
        parts.ledger.commit([delta])
        parts.counters.add("ingest.refused_records")
        parts.listener.refused([Refused(arrival, source, reason)])

    async def _tick_when_due(self) -> None:
        """Judge what changes by time alone, once a second."""
        parts = self._parts
        if parts.clock.monotonic() < self._next_tick:
            return
        self._next_tick = parts.clock.monotonic() + TICK_SECONDS
        staged = parts.watch.evaluator.tick(parts.clock.now_us(), parts.judge())
        if not len(staged.events):
            staged.commit()
            return
        problems = parts.watch.snapshot()
        try:
            notices = await self._write_tick(staged)
        except StoreAway as error:  # the next tick finds the same again, or what was committed in the store
            parts.watch.restore(problems)
            staged.drop()
            if isinstance(error, OutcomeUnknown):
                raise MemoryBehind("the answer to a commit of timed events was lost") from error
            log.warning("timed events wait for the database", error=error)
        except BaseException:
            parts.watch.restore(problems)
            staged.drop()
            raise
        else:
            staged.commit()
            if notices:
                parts.listener.noticed()

    async def _write_tick(self, staged: Staged) -> int:
        parts = self._parts
        async with parts.writer.transaction() as connection:
            now = to_datetime(parts.clock.now_us())
            return await write_events(connection, parts.watch, staged.events, parts.audience(), now)

    async def _pause(self, error: StoreAway, attempt: int) -> None:
        parts = self._parts
        if attempt == 0:
            log.warning("storing waits for the database", error=error)
        parts.counters.add("ingest.store_retries")
        await parts.clock.sleep(RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)])


class MemoryBehind(Exception):
    """The store knows more than this server's memory does: the reign must end and begin again from the store."""


def _name(arrival: Arrival) -> dict[str, object]:
    header = arrival.header
    return {"source": UUID(bytes=header.source), "boot": header.boot, "number": header.number}
