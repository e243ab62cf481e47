"""Sends what the outbox holds: claims under the epoch, tells, records the receipt.

Invariants: a notice leaves only while this server's claim on it, made in a fenced transaction, holds; at most
`per_receiver` notices are with one receiver at a time, so that one that hangs does not keep others waiting. A server
killed between telling and receipt makes the next one tell again under the same key: at least once.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from core.runtime.logging import Log
from server.escalation.payload import with_link
from server.escalation.retry import GiveUp, RetryTerms, judge_retry
from server.inventory.effective import StoredDefinitionBroken, understand
from server.inventory.model import ReceiverDefinition
from server.media.contract import Message, SendFailed, SendRefused
from server.media.registry import BY_NAME
from server.store import outbox
from server.store.definitions import find_definition
from server.store.errors import Fenced, StoreAway

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from core.runtime.clock import Clock
    from core.runtime.counters import Counters
    from server.inventory.plan import StoredDefinition
    from server.media.contract import Medium
    from server.store.database import Connection
    from server.store.outbox import ClaimedNotice
    from server.store.transaction import Writer

log = Log("dispatcher")

_STORE_PAUSES: Final = (0.05, 0.2, 0.5, 1.0, 2.0)
_MAX_ERROR_CHARACTERS: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchTerms:
    """Bounds of the dispatcher, and where the pages are that notices link to (None: they have no link).

    `claim_seconds` has to exceed `attempt_seconds` by what a receipt may take.
    """

    at_once: int = 32
    per_receiver: int = 4
    attempt_seconds: float = 10.0
    claim_seconds: float = 60.0
    look_again_seconds: float = 5.0
    blocked_seconds: float = 1.0
    retry: RetryTerms = field(default_factory=RetryTerms)
    page_url: str | None = None


class Dispatcher:
    """Tells receivers what the outbox holds, until cancelled or fenced. One per reign, made with its writer."""

    def __init__(
        self,
        *,
        writer: Writer,
        secrets: Path,
        clock: Clock,
        counters: Counters,
        terms: DispatchTerms | None = None,
        media: Mapping[str, Medium[Any]] = BY_NAME,
    ) -> None:
        self._writer = writer
        self._secrets = secrets
        self._clock = clock
        self._counters = counters
        self._terms = terms or DispatchTerms()
        self._media = media
        self._woken = asyncio.Event()
        self._with_receiver: Counter[str] = Counter()
        self._is_store_away = False

    def wake(self) -> None:
        """Look at once: something was committed to the outbox. Never waits."""
        self._woken.set()

    async def run(self) -> None:
        """Send what is due until cancelled. Raises Fenced when another server took over.

        Cancelled, it leaves what is being sent: the claim runs out or the next epoch takes it over, with the same key.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._go_on(tasks)
        except BaseExceptionGroup as group:
            fenced = group.subgroup(Fenced)
            if fenced is None:
                raise
            raise Fenced("notices are sent by another server now") from group

    async def _go_on(self, tasks: asyncio.TaskGroup) -> None:
        pauses = 0
        while True:
            self._woken.clear()
            try:
                pause = await self._round(tasks)
                pauses = 0
                self._note_store(None)
            except StoreAway as error:
                pause = _STORE_PAUSES[min(pauses, len(_STORE_PAUSES) - 1)]
                pauses += 1
                self._note_store(error)
            await self._wait(pause)

    async def _round(self, tasks: asyncio.TaskGroup) -> float:
        """Claim and start sending as long as there is something to claim; return how long there is nothing to do."""
        terms = self._terms
        while (free := terms.at_once - self._with_receiver.total()) > 0:
            busy = [name for name, count in self._with_receiver.items() if count >= terms.per_receiver]
            others = [count for count in self._with_receiver.values() if count < terms.per_receiver]
            # So many that no receiver can exceed its share, whoever they turn out to be for.
            limit = min(free, terms.per_receiver - max(others, default=0))
            async with self._writer.transaction() as connection:
                claimed = await outbox.claim(
                    connection, epoch=self._writer.epoch, limit=limit, claim_seconds=terms.claim_seconds, busy=busy
                )
                receivers = await _read_receivers(connection, {notice.receiver for notice in claimed})
            claimed_at = self._clock.monotonic()
            for notice in claimed:
                self._with_receiver[notice.receiver] += 1
                tasks.create_task(
                    self._see_to(notice, receivers.get(notice.receiver), claimed_at), name=f"notice {notice.id}"
                )
            if not claimed:
                break
        async with self._writer.database.connection() as connection:
            due = await outbox.seconds_until_due(connection)
        if due is not None and due <= 0:
            # Overdue and yet not claimable: its receiver is busy or its opening is not told yet. A receipt wakes us.
            return terms.blocked_seconds
        return terms.look_again_seconds if due is None else min(due, terms.look_again_seconds)

    async def _wait(self, seconds: float) -> None:
        woken = asyncio.create_task(self._woken.wait())
        asleep = asyncio.create_task(self._clock.sleep(seconds))
        try:
            await asyncio.wait({woken, asleep}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()
            asleep.cancel()

    async def _see_to(self, notice: ClaimedNotice, receiver: StoredDefinition | None, claimed_at: float) -> None:
        try:
            await self._record(notice, await self._attempt(notice, receiver), claimed_at)
        finally:
            self._with_receiver[notice.receiver] -= 1
            if not self._with_receiver[notice.receiver]:
                del self._with_receiver[notice.receiver]
            self.wake()

    async def _attempt(self, notice: ClaimedNotice, receiver: StoredDefinition | None) -> _Receipt:
        """Tell once, within the time of an attempt, and say how it went."""
        seconds = self._terms.attempt_seconds
        try:
            medium, settings = self._find_medium(notice, receiver)
            message = Message(key=notice.key, payload=with_link(notice.payload, self._terms.page_url))
            seconds = max(seconds, medium.attempt_seconds)
            async with asyncio.timeout(seconds):
                await medium.send(settings, message, self._secrets)
        except SendRefused as error:
            return _Receipt(error=str(error), is_final=True)
        except SendFailed as error:
            return self._judge(notice, str(error), error.retry_seconds)
        except TimeoutError:
            return self._judge(notice, f"no answer within {seconds:g} s", None)
        except Exception as error:  # noqa: BLE001 - the supervisor of one notice: a bug in a medium must not stop the others
            log.crash("a medium failed by a bug", error, media=notice.media, notice=notice.id)
            return self._judge(notice, f"a bug in the medium: {type(error).__name__}", None)
        return _Receipt()

    def _find_medium(self, notice: ClaimedNotice, stored: StoredDefinition | None) -> tuple[Medium[Any], Any]:
        if stored is None:
            raise SendRefused(f"the receiver {notice.receiver!r} is no longer defined")
        try:
            receiver = understand(stored)
        except StoredDefinitionBroken as error:
            raise SendFailed(str(error)) from error
        settings = receiver.media().get(notice.media) if isinstance(receiver, ReceiverDefinition) else None
        medium = self._media.get(notice.media)
        if settings is None or medium is None:
            raise SendRefused(f"the receiver {notice.receiver!r} is no longer told by {notice.media}")
        return medium, settings

    def _judge(self, notice: ClaimedNotice, error: str, wish_seconds: float | None) -> _Receipt:
        age = (datetime.fromtimestamp(self._clock.now_us() / 1e6, UTC) - notice.created_at).total_seconds()
        verdict = judge_retry(
            self._terms.retry,
            attempts=notice.attempts,
            age_seconds=age,
            wish_seconds=wish_seconds,
            chance=random.random(),  # noqa: S311 - spreads waits, hides nothing
        )
        if isinstance(verdict, GiveUp):
            return _Receipt(error=f"{error}; {verdict.reason}", is_final=True)
        return _Receipt(error=error, retry_seconds=verdict.after_seconds)

    async def _record(self, notice: ClaimedNotice, receipt: _Receipt, claimed_at: float) -> None:
        """Write the receipt down, again and again while the claim lasts; after that the notice is told once more."""
        self._count(notice, receipt)
        pauses = 0
        while self._clock.monotonic() - claimed_at < self._terms.claim_seconds:
            try:
                async with self._writer.transaction() as connection:
                    await receipt.write(connection, notice.id, self._writer.epoch)
                return
            except StoreAway as error:
                self._note_store(error)
                await self._clock.sleep(_STORE_PAUSES[min(pauses, len(_STORE_PAUSES) - 1)])
                pauses += 1
        log.warning("a receipt could not be recorded; the notice will be sent again", notice=notice.id, key=notice.key)

    def _count(self, notice: ClaimedNotice, receipt: _Receipt) -> None:
        self._counters.add(f"notices.{receipt.state}")
        if receipt.is_final:
            log.error("a notice was given up", receiver=notice.receiver, notice=notice.id, error=receipt.error)
        elif receipt.error and notice.attempts == 1:
            log.warning(
                "a notice has to be sent again", receiver=notice.receiver, notice=notice.id, error=receipt.error
            )

    def _note_store(self, error: StoreAway | None) -> None:
        """Log only when the database goes away or comes back."""
        if error is not None and not self._is_store_away:
            log.warning("no notices can be claimed: the database is away", error=error)
        elif error is None and self._is_store_away:
            log.info("notices are sent again: the database is back")
        self._is_store_away = error is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Receipt:
    """How an attempt went: taken, to be repeated, or given up."""

    error: str = ""
    retry_seconds: float = 0.0
    is_final: bool = False

    @property
    def state(self) -> str:
        if not self.error:
            return "sent"
        return "given_up" if self.is_final else "repeated"

    async def write(self, connection: Connection, notice_id: int, epoch: int) -> None:
        error = self.error[:_MAX_ERROR_CHARACTERS].replace("\x00", "")
        if not self.error:
            await outbox.record_sent(connection, notice_id, epoch=epoch)
        elif self.is_final:
            await outbox.record_failed(connection, notice_id, epoch=epoch, error=error)
        else:
            await outbox.record_retry(connection, notice_id, epoch=epoch, error=error, after_seconds=self.retry_seconds)


async def _read_receivers(connection: Connection, names: set[str]) -> dict[str, StoredDefinition]:
    """Read the receivers as they are defined now, so that a corrected one counts at the next attempt."""
    found = {name: await find_definition(connection, "receiver", name) for name in names}
    return {name: definition for name, definition in found.items() if definition is not None}
