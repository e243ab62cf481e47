"""R11: clocks of servers and sources that are wrong by an hour or a day, or change to summer time, under load."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from core.runtime.clock import SystemClock
from core.runtime.logging import Log
from core.wire.curve import make_keys
from tests.support.emitting import emitting
from tests.support.waiting import until
from tests.trials.audit import Audit
from tests.trials.finding import Finding
from tests.trials.judging import judge
from tests.trials.site import PROXIES, SERVERS, let_in_source
from tests.trials.stack import running_stack, until_true
from tests.trials.succession import REPLACED, ready_to_take_over

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.emitting import Emitter
    from tests.trials.judging import Verdict
    from tests.trials.stack import Stack

HOUR: Final = 3600
DAY: Final = 24 * HOUR
SHIFTS: Final = (HOUR, -HOUR, DAY, -DAY)
SHORT_SHIFTS: Final = ("-1 hour", "summer time")
BATCHES: Final = 5
WATCH_SECONDS: Final = {True: 30.0, False: 4.0}
"""For how long no takeover may follow from a wrong clock, in the long and in the short form."""
STORED: Final = """
SELECT count(DISTINCT s.value) FROM samples s JOIN item i ON i.id = s.item_id JOIN host h ON h.id = i.host_id
WHERE h.name = %s AND i.key = 'shop.orders'
"""
REFUSED: Final = """
SELECT coalesce(sum(upper(part) - lower(part)), 0)::int8
FROM received r JOIN source s ON s.id = r.source_id, unnest(r.refused) AS part WHERE s.name = %s
"""
WISH: Final = """
INSERT INTO lease_wish (epoch, asked_at, asked_by) VALUES (%s, now(), 'the trial')
ON CONFLICT (one) DO UPDATE SET epoch = excluded.epoch RETURNING epoch
"""
log = Log("trial")


def wrong_clocks() -> dict[str, Mapping[str, str]]:
    """Return by name what makes a process see another time of day; its monotonic clock stays true (libfaketime)."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    assert found, "libfaketime is missing: deploy/setup.sh dev installs it"
    library = {"LD_PRELOAD": str(found[0]), "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_RESET": "1"}
    return {
        "+1 hour": library | {"FAKETIME": f"+{HOUR}"},
        "-1 hour": library | {"FAKETIME": f"-{HOUR}"},
        "+1 day": library | {"FAKETIME": f"+{DAY}"},
        "-1 day": library | {"FAKETIME": f"-{DAY}"},
        # The clocks of Berlin go from 02:00 to 03:00 a few seconds after the start; FAKETIME is local time.
        "summer time": library | {"FAKETIME": "@2026-03-29 01:59:57", "TZ": "Europe/Berlin"},
    }


class ShiftedClock(SystemClock):
    """A machine's clock that is wrong."""

    def __init__(self, seconds: int) -> None:
        self._shift_us = seconds * 1_000_000

    def now_us(self) -> int:
        """Return the wrong instant."""
        return super().now_us() + self._shift_us


@dataclass
class Clocks:
    """What was tried, and what was found to be wrong."""

    reigns: int = 0
    false_takeovers: int = 0
    sources: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


async def run(*, is_long: bool) -> list[Finding]:
    async with running_stack() as stack:
        audit = await asyncio.to_thread(Audit, stack)
        clocks = await shift(stack, is_long=is_long)
        await stack.drain()
        verdict = await asyncio.to_thread(judge, stack.plan, stack.dsn, stack.receiver.told)
        return [judge_clocks(clocks, audit, verdict)]


def judge_clocks(clocks: Clocks, audit: Audit, verdict: Verdict) -> Finding:
    """Judge what `shift` found."""
    overlaps = audit.overlaps()
    if overlaps or clocks.false_takeovers:
        clocks.faults.append(f"{overlaps} reigns overlap, {clocks.false_takeovers} takeovers nobody asked for")
    return Finding(
        trial="clocks",
        injected=f"{clocks.reigns} reigns of servers whose clock is an hour or a day wrong or changes to summer time; "
        f"sources {', '.join(clocks.sources)}",
        required="takeovers nobody asked for 0, lost 0; skew shown at server and source; "
        "values of more than ten minutes ahead refused and counted, all others stored",
        found=f"takeovers nobody asked for {clocks.false_takeovers}, overlaps {overlaps}; {verdict.summary()}",
        faults=clocks.faults + verdict.faults(),
    )


async def shift(stack: Stack, *, is_long: bool) -> Clocks:
    """Let servers with wrong clocks reign one after the other, and sources with wrong clocks speak meanwhile."""
    clocks = Clocks()
    wrong = wrong_clocks()
    async with AsyncExitStack() as opened:
        emitters = {seconds: await _open_source(stack, opened, seconds) for seconds in SHIFTS}
        for name in wrong if is_long else SHORT_SHIFTS:
            await _reign_with(stack, clocks, name, wrong[name], WATCH_SECONDS[is_long])
            for emitter in emitters.values():
                for _ in range(BATCHES):
                    emitter.publish({"shop.orders": float(emitter.outbox.last_number)})
        for seconds, emitter in emitters.items():
            await _judge_source(stack, clocks, seconds, emitter)
    for server in SERVERS:
        stack.parts[server].environment = {}
    return clocks


async def _reign_with(
    stack: Stack, clocks: Clocks, name: str, environment: Mapping[str, str], watch_seconds: float
) -> None:
    """Restart the standby under a wrong clock, hand over to it, and watch that it keeps the lease and stores."""
    active, epoch = await ready_to_take_over(stack)
    (standby,) = (server for server in SERVERS if server != active)
    part = stack.parts[standby]
    await part.stop()
    part.environment = environment
    await part.start()
    await ready_to_take_over(stack)
    log.info("hands over to a wrong clock", server=standby, clock=name)
    await stack.query(WISH, (epoch,))
    code = await stack.parts[active].ended()
    if code != REPLACED:
        clocks.faults.append(f"{active} ended with {code}")
    await stack.start(active)
    await stack.flowing()
    await until_true(lambda: _shows(stack, standby, "its clock is"), 120, f"the wrong clock of {standby} on its page")
    await asyncio.sleep(watch_seconds)
    found, holder, _ = await stack.lease()
    if (found, holder) != (epoch + 1, standby):
        clocks.false_takeovers += 1
        clocks.faults.append(f"clock {name} at {standby}: {holder} has the lease, epoch {found} instead of {epoch + 1}")
    await stack.flowing()
    clocks.reigns += 1


async def _open_source(stack: Stack, opened: AsyncExitStack, seconds: int) -> Emitter:
    name, source, keys = _name_of(seconds), uuid4(), make_keys()
    await let_in_source(stack.dsn, name, source, keys.public)
    folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="watchkeep-clock-")))
    upstreams = [(stack.site.endpoint(proxy), stack.site.public_key(proxy)) for proxy in PROXIES]
    return await opened.enter_async_context(
        emitting(folder, name=name, source=source, keys=keys, upstreams=upstreams, clock=ShiftedClock(seconds))
    )


async def _judge_source(stack: Stack, clocks: Clocks, seconds: int, emitter: Emitter) -> None:
    """Every batch is stored, or refused and counted when it is ahead; the skew is shown."""
    name = _name_of(seconds)
    await until(lambda: emitter.unstored == 0, 120, f"the end of what {name} has said")
    ((stored,),) = await stack.query(STORED, (name,))
    ((refused,),) = await stack.query(REFUSED, (name,))
    said = clocks.reigns * BATCHES
    wanted = (0, said) if seconds > 0 else (said, 0)
    if (stored, refused) != wanted:
        clocks.faults.append(f"{name}: {stored} stored and {refused} refused instead of {wanted}")
    active = await stack.active()
    way = "ahead of" if seconds > 0 else "behind"
    await until_true(lambda: _shows(stack, active, f"{way} its proxy's", name), 120, f"the skew of {name} on the page")
    clocks.sources.append(f"{name}: {stored} batches stored, {refused} refused and counted")


def _name_of(seconds: int) -> str:
    return f"clock{'plus' if seconds > 0 else 'minus'}{abs(seconds) // HOUR}h"


async def _shows(stack: Stack, server: str, text: str, part: str = "") -> bool:
    """Tell whether the health page of a server has this among the notes of a part, else of itself."""
    health = await stack.health(server)
    return any(text in note for each in health["parts"] if each["name"] == (part or server) for note in each["notes"])
