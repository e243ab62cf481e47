"""Whatever three contenders do with the lease, in whatever order and interrupted wherever: one holder an epoch.

Invariants: an epoch is given to one contender and never falls; what a transaction wrote is committed only while its own
epoch holds (a trigger notes at COMMIT which one does).
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar
from unittest.mock import patch

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from server.store import lease as store_lease
from server.store import transaction as store_transaction
from server.store.database import Database
from server.store.errors import Fenced, StoreAway
from server.store.lease import beat, release, take
from server.store.transaction import OutcomeUnknown, Writer, settle_outcome

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from contextlib import AbstractAsyncContextManager

    from server.store.database import Backend, Connection, DatabaseOptions
    from server.store.lease import Lease

TABLES = """
CREATE TABLE written (serial int8 PRIMARY KEY, epoch int8 NOT NULL);
CREATE TABLE committed (serial int8 PRIMARY KEY, epoch int8 NOT NULL, holding int8 NOT NULL);
CREATE FUNCTION note_commit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO committed SELECT NEW.serial, NEW.epoch, lease.epoch FROM lease; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER note_commit AFTER INSERT ON written DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION note_commit();
"""
NAMES = st.sampled_from(["one", "two", "three"])
ALWAYS_STALE, NEVER_STALE = 0.0, 3600.0
LONG = 100.0
"""Seconds: what is judged is who holds the lease, not how fast the machine is."""


@dataclass
class Contender:
    """What one server believes, and its transaction under way.

    Rules about one that has none do nothing: what hypothesis draws must not hang on who won a race.
    """

    options: DatabaseOptions
    writer: Writer | None = None
    transaction: AbstractAsyncContextManager[Connection] | None = None
    connection: Connection | None = None
    serial: int = 0
    was_cut: bool = False

    @property
    def epoch(self) -> int:
        assert self.writer is not None
        return self.writer.epoch


class LeaseMachine(RuleBasedStateMachine):
    """The model: which contender was given which epoch, and the epoch that holds now."""

    options: ClassVar[DatabaseOptions]

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.database = psycopg.connect(self.options.dsn, autocommit=True)
        self.contenders = {
            name: Contender(replace(self.options, server=name, max_connections=2)) for name in ("one", "two", "three")
        }
        self.holding = self.read("SELECT epoch FROM lease")
        self.given: dict[int, str] = {}
        self.serials = self.read("SELECT coalesce(max(serial), 0) FROM written")

    def teardown(self) -> None:
        for contender in self.contenders.values():
            self.run(self.step_down(contender))
        self.database.close()
        self.loop.close()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run(work)

    def read(self, statement: str) -> int:
        row = self.database.execute(statement.encode()).fetchone()
        assert row is not None
        return int(row[0])

    # ── Taking, beating, releasing ───────────────────────────────────────────────────────────────────────────
    def note_taken(self, name: str, lease: Lease | None) -> None:
        if lease is None:
            return
        assert lease.epoch > self.holding, "an epoch fell or came twice"
        assert self.given.setdefault(lease.epoch, name) == name, "an epoch has two holders"
        self.holding = lease.epoch

    @rule(name=NAMES, stale_after=st.sampled_from([ALWAYS_STALE, NEVER_STALE]))
    def take(self, name: str, stale_after: float) -> None:
        self.run(self.take_as(self.contenders[name], name, stale_after))

    async def take_as(self, contender: Contender, name: str, stale_after: float) -> None:
        lease = await take(contender.options, endpoint=name, stale_after_seconds=stale_after, timeout_seconds=LONG)
        if lease is not None:
            await self.step_down(contender)
            contender.writer = Writer(contender.options, lease.epoch)
        self.note_taken(name, lease)

    @rule(names=st.sets(NAMES, min_size=2, max_size=3))
    def race(self, names: set[str]) -> None:
        """All take what was silent at the same time: whoever comes later finds a heartbeat."""

        async def all_take() -> list[Lease | None]:
            await asyncio.sleep(0.06)
            return await asyncio.gather(
                *(
                    take(self.contenders[name].options, endpoint=name, stale_after_seconds=0.05, timeout_seconds=LONG)
                    for name in sorted(names)
                )
            )

        taken = [lease for lease in self.run(all_take()) if lease is not None]
        assert len({lease.epoch for lease in taken}) == len(taken), "an epoch has two holders"
        for lease in sorted(taken, key=lambda lease: lease.epoch):
            self.note_taken(lease.holder, lease)
            self.run(self.step_down(self.contenders[lease.holder]))
            self.contenders[lease.holder].writer = Writer(self.contenders[lease.holder].options, lease.epoch)

    @rule(name=NAMES, statement=st.integers(1, 3), is_after=st.booleans())
    def take_interrupted(self, name: str, statement: int, *, is_after: bool) -> None:
        """The taker's connection is killed before or after a statement of its transaction: nothing has changed."""
        calls = 0
        ask = store_lease._one_row

        async def ask_and_die(connection: Connection, *asked: Any) -> tuple[Any, ...]:
            nonlocal calls
            calls += 1
            answer = await ask(connection, *asked) if is_after or calls != statement else ()
            if calls == statement:
                self.kill(connection)
            return answer or await ask(connection, *asked)

        before = self.read("SELECT epoch FROM lease")
        with patch.object(store_lease, "_one_row", ask_and_die), pytest.raises(StoreAway):
            self.run(take(self.contenders[name].options, endpoint=name, stale_after_seconds=ALWAYS_STALE))
        assert self.read("SELECT epoch FROM lease") == before

    @rule(name=NAMES)
    def take_and_die(self, name: str) -> None:
        """The taker never learns that it has the lease."""
        contender = self.contenders[name]
        self.note_taken(
            name, self.run(take(contender.options, endpoint=name, stale_after_seconds=ALWAYS_STALE))
        )  # fmt: skip
        self.run(self.step_down(contender))

    @rule(name=NAMES)
    def beat(self, name: str) -> None:
        contender = self.contenders[name]
        if contender.writer is None:
            return

        database = contender.writer.database

        async def beat_once() -> bool:
            while True:
                try:
                    async with database.connection(LONG) as connection:
                        await beat(connection, contender.epoch)
                except Fenced:
                    return False
                except StoreAway:
                    continue  # the taker has ended this connection just now; the next says what holds
                return True

        assert self.run(beat_once()) == (contender.epoch == self.holding)

    @rule(name=NAMES)
    def hand_over(self, name: str) -> None:
        """Release after the writer is closed, as a reign does; late releases change nothing."""
        contender = self.contenders[name]
        if contender.writer is None:
            return
        epoch = contender.epoch

        async def close_and_release() -> None:
            await self.step_down(contender)
            async with Database(contender.options) as database, database.connection(LONG) as connection:
                await release(connection, epoch)

        was_released = self.read("SELECT (released_at IS NOT NULL)::int FROM lease")
        self.run(close_and_release())
        is_released = self.read("SELECT (released_at IS NOT NULL)::int FROM lease")
        assert is_released == (1 if epoch == self.holding else was_released)

    # ── Writing ──────────────────────────────────────────────────────────────────────────────────────────────
    @rule(name=NAMES)
    def begin(self, name: str) -> None:
        """Write and stall: the transaction stays open."""
        contender = self.contenders[name]
        if contender.writer is None or contender.transaction is not None:
            return
        writer = contender.writer
        self.serials += 1
        contender.serial, contender.was_cut = self.serials, False

        async def write() -> bool:
            while True:
                transaction = writer.transaction(timeout_seconds=LONG)
                try:
                    contender.connection = await transaction.__aenter__()
                except Fenced:
                    return False
                except StoreAway:
                    continue  # as above
                break
            statement = "INSERT INTO written (serial, epoch) VALUES (%s, %s)"
            await contender.connection.execute(statement, (contender.serial, contender.epoch))
            contender.transaction = transaction
            return True

        assert self.run(write()) == (contender.epoch == self.holding), "it began under an epoch that is over"

    @rule(name=NAMES)
    def commit(self, name: str) -> None:
        contender = self.contenders[name]
        if contender.transaction is None:
            return
        is_current = contender.epoch == self.holding and not contender.was_cut
        assert self.run(self.end(contender)) == is_current

    @rule(name=NAMES)
    def lose_connection(self, name: str) -> None:
        """The connection is killed between two statements."""
        contender = self.contenders[name]
        if contender.transaction is None:
            return
        assert contender.connection is not None
        self.kill(contender.connection)
        contender.was_cut = True

    @rule(name=NAMES, is_settled=st.booleans())
    def commit_unanswered(self, name: str, *, is_settled: bool) -> None:
        """COMMIT leaves and its answer never comes; the store tells what became of it, now or much later."""
        contender = self.contenders[name]
        if contender.transaction is None:
            return
        is_current = contender.epoch == self.holding and not contender.was_cut
        assert contender.writer is not None
        writer = contender.writer

        async def send_and_break() -> Backend | None:
            connection = contender.connection
            assert connection is not None
            with suppress(psycopg.Error):
                connection.pgconn.send_query(b"COMMIT")
                connection.pgconn.flush()
            with socket.socket(fileno=os.dup(connection.fileno())) as own, suppress(OSError):
                own.shutdown(socket.SHUT_RDWR)
            try:
                await self.end_raising(contender)
            except OutcomeUnknown as unknown:
                return unknown.backend
            return None

        backend = self.run(send_and_break())
        assert backend is not None, "an answer came over a broken connection"
        if is_settled and contender.epoch == self.holding:
            self.run(settle_outcome(writer.database, backend, []))
        is_stored = bool(self.read(f"SELECT count(*) FROM written WHERE serial = {contender.serial}"))  # noqa: S608 # ours
        assert is_current or not is_stored, "a transaction of an epoch that is over was committed"

    async def end(self, contender: Contender) -> bool:
        """End the transaction; tell whether it was committed for certain."""
        try:
            await self.end_raising(contender)
        except StoreAway:
            return False
        return True

    async def end_raising(self, contender: Contender) -> None:
        transaction, contender.transaction, contender.connection = contender.transaction, None, None
        assert transaction is not None
        await transaction.__aexit__(None, None, None)

    async def step_down(self, contender: Contender) -> None:
        if contender.transaction is not None:
            await self.end(contender)
        if contender.writer is not None:
            await contender.writer.close()
            contender.writer = None

    def kill(self, connection: Connection) -> None:
        """Terminate the server process and wait until it is gone."""
        pid = connection.info.backend_pid
        self.database.execute("SELECT pg_terminate_backend(%s, 20000)", (pid,))

    # ── Invariants ───────────────────────────────────────────────────────────────────────────────────────────
    @invariant()
    def the_epoch_is_the_last_one_given(self) -> None:
        assert self.read("SELECT epoch FROM lease") == self.holding

    @invariant()
    def nothing_is_committed_under_an_epoch_that_is_over(self) -> None:
        assert self.read("SELECT count(*) FROM committed WHERE epoch <> holding") == 0


@pytest.fixture
def tables(database_options: DatabaseOptions) -> DatabaseOptions:
    with psycopg.connect(database_options.dsn, autocommit=True) as connection:
        connection.execute(TABLES.encode())
    LeaseMachine.options = database_options
    return database_options


ONLY = pytest.mark.parametrize("database_options", ["embedded"], indirect=True)
BOUNDS = settings(
    max_examples=10, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck), database=None
)


@pytest.mark.trial("R9")
@ONLY
def test_whatever_three_contenders_do_an_epoch_has_one_holder_and_nothing_stale_is_committed(
    tables: DatabaseOptions,  # noqa: ARG001 - LeaseMachine uses it
) -> None:
    run_state_machine_as_test(LeaseMachine, settings=BOUNDS)


@pytest.mark.trial("R9")
@ONLY
def test_the_model_notices_a_fence_without_the_share_lock(
    tables: DatabaseOptions,  # noqa: ARG001 - LeaseMachine uses it
) -> None:
    """Nothing terminated, the epoch read by a plain SELECT: the old holder commits after the takeover."""
    with (
        patch.object(store_lease, "TERMINATE_WRITERS", "SELECT %s::int8"),
        patch.object(store_transaction, "LOCK_EPOCH", "SELECT epoch FROM lease"),
    ):
        machine = LeaseMachine()
        try:
            machine.take("one", ALWAYS_STALE)
            machine.begin("one")
            machine.take("two", ALWAYS_STALE)
            with pytest.raises(AssertionError):
                machine.commit("one")
            with pytest.raises(AssertionError):
                machine.nothing_is_committed_under_an_epoch_that_is_over()
        finally:
            machine.teardown()
