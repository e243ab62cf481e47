"""The fence, with real processes: a frozen holder, a killed one, a hand-over, and that the naive ways really fail."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest

from server.store import lease as store_lease
from server.store.database import Database
from server.store.errors import Fenced, StoreAway, StoreBusy
from server.store.lease import beat, read_lease, release, take
from server.store.transaction import Writer
from tests.support.waiting import PATIENCE_SECONDS, until_found

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from server.store.database import DatabaseOptions

TAKEOVER_SECONDS = 10.0
SILENCE_SECONDS = 3.0
NEVER_STALE = 3600.0
"""Silence that no pause of the machine comes near: what is taken in spite of it was free for another reason."""


class Holder:
    """The other server, as a process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def says(self) -> str:
        assert self.process.stdout is not None
        return (await asyncio.wait_for(self.process.stdout.readline(), PATIENCE_SECONDS)).decode().strip()

    def freeze(self) -> None:
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")


@asynccontextmanager
async def holder(options: DatabaseOptions, mode: str) -> AsyncIterator[Holder]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.integration.store.holder", mode, options.dsn, "other",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield Holder(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
async def options(database_options: DatabaseOptions) -> DatabaseOptions:
    async with await psycopg.AsyncConnection.connect(database_options.dsn, autocommit=True) as connection:
        await connection.execute("CREATE TABLE written (name text)")
    return database_options


async def written(options: DatabaseOptions) -> list[str]:
    async with Database(options) as database, database.connection() as connection:
        return [row[0] for row in await (await connection.execute("SELECT name FROM written")).fetchall()]


async def take_when_free(options: DatabaseOptions, timeout_seconds: float = TAKEOVER_SECONDS) -> store_lease.Lease:
    deadline = time.monotonic() + timeout_seconds

    async def taken() -> store_lease.Lease | None:
        return await take(options, endpoint="mine", timeout_seconds=max(deadline - time.monotonic(), 0.5))

    return await until_found(taken, timeout_seconds, "a free lease")


@pytest.mark.trial("R9")
async def test_a_holder_frozen_in_a_stalled_copy_is_fenced_within_ten_seconds_and_writes_nothing_when_it_wakes(
    options: DatabaseOptions,
) -> None:
    async with holder(options, "stall") as other:
        assert await other.says() == "took 1"
        assert await other.says() == "stalled"
        other.freeze()
        begin = time.monotonic()
        taken = await take_when_free(options)
        assert time.monotonic() - begin < TAKEOVER_SECONDS
        assert taken.epoch == 2
        writer = Writer(options, taken.epoch)
        async with writer.transaction() as connection:
            await connection.execute("INSERT INTO written (name) VALUES ('new')")
        await writer.close()
        other.go_on()
        other.thaw()
        assert (await other.says()).startswith("refused")
        assert await other.says() == "refused Fenced"
    assert await written(options) == ["new"]


@pytest.mark.trial("R9")
@pytest.mark.parametrize("database_options", ["embedded"], indirect=True)
async def test_without_the_share_lock_the_old_holder_would_commit_after_the_takeover(
    options: DatabaseOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The naive fence, so that the test above is known to catch it: nothing terminated, epoch read by plain SELECT."""
    monkeypatch.setattr(store_lease, "TERMINATE_WRITERS", "SELECT %s::int8")
    async with holder(options, "naive") as other:
        assert await other.says() == "took 1"
        assert await other.says() == "stalled"
        other.freeze()
        assert (await take_when_free(options)).epoch == 2
        other.go_on()
        other.thaw()
        assert await other.says() == "committed"
    assert await written(options) == ["kept", "kept"]


@pytest.mark.trial("R9")
@pytest.mark.parametrize("database_options", ["embedded"], indirect=True)
async def test_without_termination_a_stalled_copy_would_keep_the_taker_waiting(
    options: DatabaseOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_lease, "TERMINATE_WRITERS", "SELECT %s::int8")
    async with holder(options, "stall") as other:
        assert await other.says() == "took 1"
        assert await other.says() == "stalled"
        other.freeze()
        with pytest.raises((StoreAway, AssertionError)):
            await take_when_free(options, TAKEOVER_SECONDS)
        async with Database(options) as database, database.connection() as connection:
            assert (await read_lease(connection)).epoch == 1


async def test_a_connection_opened_between_termination_and_the_raise_is_terminated_too(
    options: DatabaseOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await take(options, endpoint="mine", stale_after_seconds=0)
    assert first is not None
    writer = Writer(replace(options, server="old"), first.epoch)
    in_transaction = asyncio.Event()
    outcome: list[BaseException | None] = []

    async def write_slowly() -> None:
        try:
            async with writer.transaction(timeout_seconds=100):
                in_transaction.set()
                await asyncio.Event().wait()
        except BaseException as error:  # noqa: BLE001 - the outcome is what is judged
            outcome.append(error)

    async with asyncio.TaskGroup() as tasks:
        slow: list[asyncio.Task[None]] = []
        raise_epoch = store_lease._raise_epoch

        async def raise_after_a_new_writer(*arguments: object) -> store_lease.Lease | None:
            if not slow:
                slow.append(tasks.create_task(write_slowly()))
                await asyncio.wait_for(in_transaction.wait(), 40)
            return await raise_epoch(*arguments)  # type: ignore[arg-type]  # handed through

        monkeypatch.setattr(store_lease, "_raise_epoch", raise_after_a_new_writer)
        taken = await take(options, endpoint="mine", stale_after_seconds=0, timeout_seconds=60)
        assert taken is not None
        assert taken.epoch == first.epoch + 1
        slow[0].cancel()
    await writer.close()
    assert len(outcome) == 1


@pytest.mark.trial("R10")
async def test_a_living_holder_keeps_the_lease_and_a_killed_one_loses_it(options: DatabaseOptions) -> None:
    async with holder(options, "beat") as other:
        assert await other.says() == "took 1"
        assert await other.says() == "beat"
        # Ten times as long as a standby waits: the holder may be held up, too.
        assert await take(options, endpoint="mine", stale_after_seconds=10 * SILENCE_SECONDS) is None
        other.process.kill()
        begin = time.monotonic()
        await other.process.wait()
        async with Database(options) as database, database.connection() as connection:
            last_beat = (await read_lease(connection)).heartbeat_at
        taken = await take_when_free(options)
        assert time.monotonic() - begin < TAKEOVER_SECONDS
        assert taken.epoch == 2
        assert taken.taken_at.timestamp() - last_beat > SILENCE_SECONDS


async def test_of_many_takers_one_wins(options: DatabaseOptions) -> None:
    takers = [replace(options, server=f"server{number}") for number in range(5)]
    results = await asyncio.gather(
        *(take(each, endpoint=each.server, stale_after_seconds=NEVER_STALE, timeout_seconds=60) for each in takers)
    )
    winners = [each for each in results if each is not None]
    assert len(winners) == 1
    async with Database(options) as database, database.connection() as connection:
        lease = await read_lease(connection)
    assert (lease.epoch, lease.holder) == (1, winners[0].holder)


async def test_a_released_lease_is_taken_at_once_and_the_old_heartbeat_is_refused(options: DatabaseOptions) -> None:
    first = await take(options, endpoint="a")
    assert first is not None
    async with Database(options) as database:
        async with database.connection() as connection:
            assert await release(connection, first.epoch)
        second = await take(options, endpoint="b", stale_after_seconds=NEVER_STALE)  # it asks once and does not wait
        assert second is not None
        async with database.connection() as connection:
            assert not await release(connection, first.epoch)
            await beat(connection, second.epoch)
            with pytest.raises(Fenced):
                await beat(connection, first.epoch)


async def test_many_writers_of_one_epoch_do_not_wait_for_each_other(options: DatabaseOptions) -> None:
    first = await take(options, endpoint="a")
    assert first is not None
    writer = Writer(options, first.epoch)
    async with writer.transaction() as one, writer.transaction() as two:
        await one.execute("INSERT INTO written (name) VALUES ('one')")
        await two.execute("INSERT INTO written (name) VALUES ('two')")
        await beat(two, first.epoch)
    await writer.close()
    assert sorted(await written(options)) == ["one", "two"]


async def test_a_lease_row_locked_by_something_else_is_reported_and_not_waited_for_for_ever(
    options: DatabaseOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_lease, "_LAST_ROUND_SECONDS", 18.0)  # what a busy machine may take for the last round
    async with await psycopg.AsyncConnection.connect(options.dsn) as stranger:
        await stranger.execute("SELECT FROM lease FOR UPDATE")
        begin = time.monotonic()
        with pytest.raises(StoreBusy):
            await take(options, endpoint="mine", timeout_seconds=20)
        assert time.monotonic() - begin < 20
