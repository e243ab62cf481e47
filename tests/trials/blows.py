"""The blows of the trial `kills`: what is killed, when, and what has to be started again."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.support.waiting import until
from tests.trials.site import POSTGRES, PROXIES, SERVERS, SOURCES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from tests.trials.database_wire import Moment, Passage
    from tests.trials.stack import Stack

AIM_SECONDS: Final = 60.0
"""How long an aimed blow waits for its moment."""
WRITERS: Final = "SELECT pid FROM pg_stat_activity WHERE application_name ~ '^watchkeep/[^/]*/[0-9]+$'"


class Missed(Exception):
    """The moment aimed at did not come in time; nothing was killed."""


@dataclass(frozen=True, kw_only=True)
class Blow:
    """`strike` kills and returns the names of what has to be started again."""

    name: str
    strike: Callable[[Stack], Awaitable[Sequence[str]]]


def all_blows() -> list[Blow]:
    """Return every kind of blow once."""
    return [
        Blow(name="source at random", strike=lambda stack: _kill(stack, SOURCES)),
        *(Blow(name=f"{proxy} at random", strike=_killing(proxy)) for proxy in PROXIES),
        Blow(name="active server at random", strike=_kill_active),
        Blow(name="standby server at random", strike=_kill_standby),
        Blow(name="PostgreSQL at random", strike=lambda stack: _kill(stack, POSTGRES)),
        Blow(name="everything at once", strike=lambda stack: _kill(stack, SOURCES, *PROXIES, *SERVERS, POSTGRES)),
        Blow(name="a proxy and its disk", strike=_lose_disk),
        *(_at(moment, victim) for moment in _COMMIT_MOMENTS for victim in ("server", "backend", POSTGRES)),
        _at("answer held", "server", is_seen_in_sql=True),
        *(_at("answer passed", victim) for victim in ("server", *PROXIES)),
        Blow(name="source at fsync", strike=lambda stack: _at_fsync(stack, SOURCES)),
        Blow(name="proxy at fsync", strike=_proxy_at_fsync),
        Blow(name="database process at fsync", strike=_backend_at_fsync),
    ]


_COMMIT_MOMENTS: Final[tuple[Moment, ...]] = ("before commit", "under commit", "answer held")


def choose(count: int, chance: random.Random) -> list[Blow]:
    """Return `count` blows: every kind as often as any other, give or take one, in a random order."""
    kinds = all_blows()
    blows: list[Blow] = []
    while len(blows) < count:
        chance.shuffle(kinds)
        blows += kinds
    blows = blows[:count]
    chance.shuffle(blows)
    return blows


async def _kill(stack: Stack, *names: str) -> Sequence[str]:
    await asyncio.gather(*(stack.kill(name) for name in names))
    return names


def _killing(name: str) -> Callable[[Stack], Awaitable[Sequence[str]]]:
    return lambda stack: _kill(stack, name)


async def _kill_active(stack: Stack) -> Sequence[str]:
    return await _kill(stack, await stack.active())


async def _kill_standby(stack: Stack) -> Sequence[str]:
    active = await stack.active()
    return await _kill(stack, *(server for server in SERVERS if server != active))


async def _lose_disk(stack: Stack) -> Sequence[str]:
    """Kill a proxy and delete its data folder: what it had taken and not delivered is gone with it."""
    proxy = random.choice(PROXIES)
    await stack.kill(proxy)
    with suppress(FileNotFoundError):  # struck before it had made its folder again
        await asyncio.to_thread(shutil.rmtree, stack.site.data(proxy))
    return [proxy]


def _at(moment: Moment, victim: str, *, is_seen_in_sql: bool = False) -> Blow:
    """Kill the victim at a moment of an ingest transaction.

    `is_seen_in_sql`: only once the commit has been seen by another connection.
    """

    async def strike(stack: Stack) -> Sequence[str]:
        await stack.active()
        before = await stack.stored_values() if is_seen_in_sql else 0
        to_start: list[str] = []

        async def kill(passage: Passage, server: str) -> None:
            if is_seen_in_sql:
                assert await stack.stored_values() > before, "an answered COMMIT is not visible"
            if moment == "answer passed":  # the server now acknowledges; somewhere on the way of that
                await asyncio.sleep(random.uniform(0, 0.04))
            if victim == "backend":
                assert passage.backend, "it is not known whom to kill"
                with suppress(ProcessLookupError):
                    os.kill(passage.backend, signal.SIGKILL)
            else:
                to_start.append(server if victim == "server" else victim)
                await stack.kill(to_start[0])

        # Whichever server reigns when the moment comes: the kill before may have made the other one active.
        struck = [wire.aim(moment, partial(kill, server=server)) for server, wire in stack.wires.items()]
        try:
            done, _ = await asyncio.wait(struck, timeout=AIM_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wire in stack.wires.values():
                wire.disarm()
        if not done:
            raise Missed("no such moment")
        for each in done:
            each.result()
        return to_start

    seen = ", seen in SQL" if is_seen_in_sql else ""
    return Blow(name=f"{victim} at COMMIT: {moment}{seen}", strike=strike)


async def _proxy_at_fsync(stack: Stack) -> Sequence[str]:
    """Kill a proxy that sources are connected to: another one fsyncs nothing."""
    await stack.flowing()
    upstreams = [facts["upstream"] for facts in stack.status()["sources"].values()]
    busy = [proxy for proxy in PROXIES if stack.site.endpoint(proxy) in upstreams]
    if not busy:
        raise Missed("no source is connected")
    return await _at_fsync(stack, random.choice(busy))


async def _at_fsync(stack: Stack, name: str) -> Sequence[str]:
    """Kill the part as it enters fsync; a source fsyncs only what stays unstored, so its proxies are stopped first."""
    part = stack.parts[name]
    if name == SOURCES:
        await asyncio.gather(*(stack.kill(proxy) for proxy in PROXIES))
    await _kill_in_fsync([part.pid], part.ended(AIM_SECONDS))
    return [name, *(PROXIES if name == SOURCES else ())]


async def _backend_at_fsync(stack: Stack) -> Sequence[str]:
    """Kill a database process of the active server as it makes its commit durable; PostgreSQL recovers by itself."""
    await stack.active()
    pids = [pid for (pid,) in await stack.query(WRITERS)]
    if not pids:
        raise Missed("no connection of a writer")
    await _kill_in_fsync(pids, _until_one_is_gone(pids))
    return []


async def _until_one_is_gone(pids: Sequence[int]) -> None:
    folders = [Path(f"/proc/{pid}") for pid in pids]
    await until(lambda: not all(folder.exists() for folder in folders), AIM_SECONDS, "the end of a database process")


async def _kill_in_fsync(pids: Sequence[int], gone: Awaitable[object]) -> None:
    """Let strace kill one of the processes as it enters its next or second next fsync."""
    which = random.randint(1, 2)
    tracer = await asyncio.create_subprocess_exec(
        "strace", "-f", "-qq", "-o", "/dev/null", *(part for pid in pids for part in ("-p", str(pid))),
        "-e", "trace=fsync,fdatasync", "-e", f"inject=fsync,fdatasync:signal=KILL:when={which}",
        stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await asyncio.wait_for(gone, AIM_SECONDS)
    except (TimeoutError, AssertionError):
        raise Missed("no fsync") from None
    finally:
        if tracer.returncode is None:
            with suppress(ProcessLookupError):
                tracer.terminate()  # it lets go of what it traces
        await tracer.wait()
