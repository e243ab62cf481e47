"""Keys replaced under load while whoever takes part is killed: nothing lost, nothing twice, nobody locked out."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import psycopg
import pytest

from core.security.keys import load
from server.store.rotation import ask_rotation
from tests.trials.judging import judge
from tests.trials.site import PROXIES, SOURCES
from tests.trials.stack import running_stack, until_true

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from tests.trials.stack import Stack

ROUND_SECONDS = 120.0
Blow: TypeAlias = "tuple[str, str, Callable[[Stack, Mapping[Path, bytes]], Awaitable[bool]]]"
"""Who is killed, at which moment in words, and what tells that it has come."""


@pytest.mark.trial("S-6")
@pytest.mark.timeout(600)
async def test_keys_are_replaced_under_load_and_kills_without_losing_or_doubling_a_value(
    figure: Callable[[str], None],
) -> None:
    async with running_stack(sources=2, counters=50, batches_per_second=40) as stack:
        names = [name for name, _ in stack.plan.sources]
        endpoint = await _first_upstream(stack)
        upstream = next(proxy for proxy in PROXIES if stack.site.endpoint(proxy) == endpoint)
        rounds: list[list[Blow]] = [
            [(SOURCES, "a new pair is on disk", _is_on_disk), (upstream, "a new key is accepted", _is_accepted)],
            [(await stack.active(), "asked", _is_asked), (SOURCES, "a new key is accepted", _is_accepted)],
        ]
        for blows in rounds:
            old = {stack.plan.key_file(name): load(stack.plan.key_file(name)).public for name in names}
            await _ask(stack, list(old.values()))
            for victim, moment, has_come in blows:
                await until_true(partial(has_come, stack, old), ROUND_SECONDS, f"the moment to kill {victim}: {moment}")
                await stack.kill(victim)
                await stack.start(victim)
            await until_true(partial(_are_replaced, stack, old), ROUND_SECONDS, "both keys replaced")
            assert all(load(file).public != key for file, key in old.items())
        await stack.flowing()
        await stack.drain()
        verdict = await asyncio.to_thread(judge, stack.plan, stack.dsn, stack.receiver.told, names)
        assert verdict.faults() == []
        ((live,),) = await stack.query("SELECT count(*) FROM peer_key WHERE role = 'agent' AND revoked_at IS NULL")
        assert live == len(names), "every old key is revoked"
        figure(f"keys: {len(rounds) * len(names)} replaced under load with kills, {verdict.summary()}")


async def _first_upstream(stack: Stack) -> str:
    """Return where the sources deliver to, once they have said so."""
    found: list[str | None] = []

    async def is_said() -> bool:
        found[:] = [each["upstream"] for each in stack.status().get("sources", {}).values()]
        return bool(found) and found[0] is not None

    await until_true(is_said, ROUND_SECONDS, "a link of the sources")
    return str(found[0])


async def _ask(stack: Stack, keys: list[bytes]) -> None:
    connection = await psycopg.AsyncConnection.connect(stack.dsn)
    async with connection:
        for key in keys:
            assert await ask_rotation(connection, key, by="trial") == "asked"


async def _is_asked(_stack: Stack, _old: Mapping[Path, bytes]) -> bool:
    return True


async def _is_on_disk(_stack: Stack, old: Mapping[Path, bytes]) -> bool:
    """A pair lies there until it is welcomed; who looks too seldom to see it finds that it is in use already."""
    return any(file.with_name(file.name + ".next").exists() or load(file).public != key for file, key in old.items())


async def _is_accepted(stack: Stack, old: Mapping[Path, bytes]) -> bool:
    rows = await stack.query("SELECT old_key FROM key_rotation WHERE new_key IS NOT NULL")
    return any(bytes(key) in old.values() for (key,) in rows)


async def _are_replaced(stack: Stack, old: Mapping[Path, bytes]) -> bool:
    rows = await stack.query("SELECT old_key FROM key_rotation WHERE done_at IS NOT NULL")
    return {bytes(key) for (key,) in rows} >= set(old.values())
