"""The database away: frozen, and stopped; everybody waits, says so, and goes on."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.support.processes import family
from tests.trials.faults.ground import SERVER
from tests.trials.site import POSTGRES

if TYPE_CHECKING:
    from tests.support.processes import Living
    from tests.trials.faults.ground import Ground

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.trial("R10"), pytest.mark.timeout(600)]
AWAY_SECONDS = 15.0


async def test_a_frozen_database_makes_everybody_wait(ground: Ground) -> None:
    await ground.rests()
    since = len(ground.log(SERVER))
    before = await ground.counter(SERVER, "lease.missed_beats")
    members = family([ground.stack.postgres.pid])
    try:
        _send(members, signal.SIGSTOP)
        asking = asyncio.create_task(asyncio.to_thread(ground.api.send, "GET", "/hosts"))
        await ground.holds(ground.all_live, AWAY_SECONDS, "every part lives on")
        status, answer = await asking
        assert status == 503
        assert answer["error"]["remedy"]
    finally:
        _send(members, signal.SIGCONT)
    await ground.nothing_lost()
    await ground.says(SERVER, "the database did not answer", since)
    await ground.says(SERVER, "the database is back", since)
    await ground.counted(SERVER, "lease.missed_beats", before + 1)
    assert ground.all_live()


async def test_a_stopped_database_makes_everybody_wait(ground: Ground) -> None:
    await ground.rests()
    since = len(ground.log(SERVER))
    before = await ground.counter(SERVER, "ingest.store_retries")
    await asyncio.to_thread(ground.stack.postgres.stop)
    try:
        await ground.says(SERVER, "storing waits for the database", since)
        await ground.says(SERVER, "the database is away", since)
        await ground.holds(ground.all_live, AWAY_SECONDS, "every part lives on")
        status, answer = await asyncio.to_thread(ground.api.send, "GET", "/health")
        assert status == 503
        assert "database" in answer["error"]["message"]
        assert answer["error"]["remedy"]
        tries = [await asyncio.to_thread(ground.api.sign_in, "somebody", "who waits") for _ in range(11)]
        assert tries == [503] * 11
    finally:
        await ground.stack.start(POSTGRES)
    await ground.says(SERVER, "the database is back", since)
    assert await asyncio.to_thread(ground.api.sign_in, "somebody", "who waits") == 401, "he is told, not shut out"
    await ground.nothing_lost()
    await ground.counted(SERVER, "ingest.store_retries", before + 1)
    assert ground.all_live()


def _send(members: set[Living], number: signal.Signals) -> None:
    for one in members:
        with suppress(ProcessLookupError):
            os.kill(one.pid, number)
