"""Sources of our own under trial: counters through the real Outbox and Publisher, and a ledger of what was appended.

    python -m tests.trials.source FILE

FILE is JSON (see Plan). SIGUSR1: make nothing more, and end with 0 once everything is stored. SIGUSR2: see orders.py.
SIGTERM: end at once.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from array import array
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agent.identity import Identity
from agent.preference import arrange, keep_latest, read_order
from agent.rotation import KeyReplacement, read_wanted
from core.model.item import ItemDescription
from core.runtime.clock import SystemClock
from core.runtime.counters import Counters
from core.runtime.logging import Log, configure
from core.security.keys import read_public
from core.spool.faults import SpoolFault, SpoolFull
from core.spool.keeping import keep_synced
from core.spool.outbox import Outbox
from core.spool.spool import SpoolLimits
from core.wire.greeter import HeartbeatFacts, HelloFacts
from core.wire.messages import Configured
from core.wire.publisher import Publisher, Upstream
from tests.trials.ledger import LedgerFile
from tests.trials.orders import publish_poison, take_snapshot, wake_from_snapshot
from tests.trials.plan import Plan, wave

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from core.runtime.clock import Clock
    from core.wire.greeter import AckKind
    from core.wire.messages import Acknowledgements, Configuration, Welcome

STATUS_SECONDS: Final = 0.25
_PAST_A_TURN: Final = 20
log = Log("trial")


@dataclass
class Memory:
    """What a source keeps besides its spool: the highest epoch."""

    file: Path
    epoch: int = field(init=False)

    def __post_init__(self) -> None:
        self.epoch = int(self.file.read_text()) if self.file.exists() else 0

    def keep(self, epoch: int) -> None:
        draft = self.file.with_suffix(".new")
        draft.write_text(str(epoch))
        draft.replace(self.file)
        self.epoch = epoch


class Greeting:
    """A source's Greeter over its Outbox; of configurations it follows what they say of its key and its upstreams."""

    def __init__(self, name: str, outbox: Outbox, memory: Memory) -> None:
        self._name = name
        self._outbox = outbox
        self._memory = memory
        self.publisher: Publisher | None = None
        self.identity: Identity | None = None
        self.replacement: KeyReplacement | None = None
        self.upstreams: Sequence[Upstream] = ()
        self.document: Mapping[str, Any] = {}
        self.refused_records = 0
        self.renumbered = 0

    def hello(self) -> HelloFacts:
        return HelloFacts(
            role="agent", name=self._name, source=self._outbox.source.bytes, boots=tuple(self._outbox.held_boots()),
            configuration=0, epoch=self._memory.epoch, software="trial source",
        )  # fmt: skip

    def welcomed(self, welcome: Welcome) -> None:
        if self.identity is not None:
            self.identity.welcomed()
        self.renumbered += self._outbox.settle(welcome.seen)

    def acknowledged(self, kind: AckKind, acks: Acknowledgements) -> None:
        if kind == "refused":
            self.refused_records += sum(last - first + 1 for ranges in acks.values() for first, last in ranges)

    async def configured(self, message: Configuration) -> None:
        if self.publisher is not None:
            self.document = keep_latest(self.document, message.body)
            self.publisher.prefer(arrange(self.upstreams, read_order(self.document)))
            await self.publisher.send(Configured(version=message.version, error=None))
        if self.replacement is not None:
            await self.replacement.heard(read_wanted(message.body))

    def epoch_seen(self, epoch: int) -> None:
        self._memory.keep(epoch)

    def heartbeat(self) -> HeartbeatFacts:
        spool = self._outbox.spool
        return HeartbeatFacts(
            boot=self._outbox.boot, number=self._outbox.last_number, held_records=spool.held_records,
            held_bytes=spool.held_bytes, oldest_at=spool.oldest_at or 0,
        )  # fmt: skip


class Emitter:
    """One source: counts, appends, notes in the ledger, tells its publisher."""

    def __init__(self, plan: Plan, name: str, uuid: UUID, clock: Clock) -> None:
        self.name = name
        self._plan = plan
        self._clock = clock
        plan.spool_folder(name).mkdir(parents=True, exist_ok=True)
        limits = SpoolLimits(max_bytes=plan.spool_bytes)
        if plan.resume == name:
            self.outbox = wake_from_snapshot(plan.spool_folder(name), plan.snapshot_folder(name), uuid, limits, clock)
        else:
            self.outbox = Outbox.open(plan.spool_folder(name), uuid, limits, clock)
        self._ledger = LedgerFile(plan.ledger_file(name))
        self.counters = Counters()
        self.greeting = Greeting(name, self.outbox, Memory(plan.data / name / "epoch"))
        self.greeting.identity = Identity(plan.key_file(name), clock)
        self.greeting.upstreams = [
            Upstream(endpoint=endpoint, key=read_public(key)) for endpoint, key in plan.proxies_of(name)
        ]
        self.publisher = Publisher(
            spool=self.outbox.spool,
            keys=self.greeting.identity.pair,
            upstreams=self.greeting.upstreams,
            greeter=self.greeting,
            clock=clock,
            counters=self.counters,
        )
        self.greeting.publisher = self.publisher
        self.replacement = self.greeting.replacement = KeyReplacement(
            self.greeting.identity, clock, send=self.publisher.send, renew=self.publisher.begin_anew
        )
        self._counter = self._ledger.next_counter
        self._instant = self._ledger.last_instant
        self._items: array[int] | None = None
        self.unpublished = 0
        self.is_paused = False

    def emit(self) -> None:
        """Append one batch, measured now. What the spool refuses is counted and its counter never used again."""
        self._instant = max(self._clock.now_us(), self._instant + 1)
        self._append(self._instant)

    async def emit_past(self) -> None:
        """Append the batches the plan wants of the past."""
        plan = self._plan
        step_us = (plan.past_until - plan.past_from) * 1_000_000 / max(1, plan.past_batches)
        for place in range(plan.past_batches):
            self._append(round(plan.past_from * 1_000_000 + place * step_us))
            if place % _PAST_A_TURN == 0:
                await asyncio.sleep(0)

    def _append(self, instant: int) -> None:
        counter, self._counter = self._counter, self._counter + 1
        values = array("d", [float(counter)]) * self._plan.counters
        if self._plan.wave_batches:
            values.append(wave(counter, self._plan.wave_batches))
        try:
            if self._items is None:
                self._items = array("I", self.outbox.describe(self._descriptions()))
            number = self.outbox.publish(self._items, [instant] * len(values), values)
        except (SpoolFault, SpoolFull) as error:
            if not self.unpublished:
                log.warning("A batch could not be appended", source=self.name, error=error)
            self.unpublished += 1
            return
        self._ledger.note(counter, self.outbox.boot, number, instant)
        self.publisher.notify()

    def _descriptions(self) -> list[ItemDescription]:
        return [ItemDescription(key=key, description="a counter under trial") for key in self._plan.item_keys]

    async def obey(self, order: str) -> list[int]:
        """Carry out an order; return the numbers it is about.

        `snapshot` waits, without making anything, until all is stored; it is about the last number before it.
        """
        if order == "poison":
            assert self._items is not None, "nothing was published yet"
            numbers = publish_poison(self.outbox, self._clock.now_us(), self._items[0])
            self.publisher.notify()
            return numbers
        self.is_paused = True
        while self.unstored:
            await self._clock.sleep(0.02)
        take_snapshot(self.outbox, self._plan.snapshot_folder(self.name))
        self.is_paused = False
        return [self.outbox.last_number]

    @property
    def unstored(self) -> int:
        """How many of our records no server has stored yet."""
        return sum(ranges.count for ranges in self.outbox.spool.unstored().values())

    def status(self) -> Mapping[str, Any]:
        """What the harness may want to know."""
        state = self.publisher.state
        return {
            "boot": self.outbox.boot,
            "last_number": self.outbox.last_number,
            "counter": self._counter - 1,
            "unstored": self.unstored,
            "oldest_unstored": [
                [boot, *list(ranges)[:3]] for (_, boot), ranges in self.outbox.spool.unstored().items()
            ],
            "upstream": None if state.upstream is None else state.upstream.endpoint,
            "trouble": state.trouble,
            "unpublished": self.unpublished,
            "lost": self.outbox.lost_records,
            "refused": self.greeting.refused_records,
            "renumbered": self.greeting.renumbered,
            "counters": self.counters.snapshot(),
        }


async def run(plan: Plan) -> None:
    """Emit until told to drain, then return when all is stored; cancelled: return at once."""
    clock = SystemClock()
    is_draining = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, is_draining.set)
    with ExitStack() as opened:
        emitters: list[Emitter] = []
        for name, uuid in plan.sources:
            emitters.append(Emitter(plan, name, uuid, clock))
            opened.callback(emitters[-1].outbox.close)
        async with asyncio.TaskGroup() as tasks:
            background: list[asyncio.Task[Any]] = []
            for emitter in emitters:
                background.append(tasks.create_task(emitter.publisher.run()))
                background.append(tasks.create_task(emitter.replacement.run()))
                background.append(tasks.create_task(keep_synced(emitter.outbox.spool, clock)))
            background.append(tasks.create_task(_keep_status(plan, emitters, clock)))
            background.append(tasks.create_task(_obey(plan, emitters)))
            await asyncio.gather(*(emitter.emit_past() for emitter in emitters))
            await _emit_all(plan, emitters, clock, is_draining)
            while any(emitter.unstored for emitter in emitters):
                await clock.sleep(0.05)
            for task in background:
                task.cancel()
        _write_status(plan, emitters)


async def _emit_all(plan: Plan, emitters: list[Emitter], clock: Clock, is_draining: asyncio.Event) -> None:
    """Each source in its turn, evenly over time; after a pause of the machine it goes on from now."""
    turns = _turns(plan, emitters)
    interval = 1 / plan.batches_per_second / len(turns)
    due = clock.monotonic()
    while not is_draining.is_set():
        for emitter in turns:
            due = max(due + interval, clock.monotonic() - 1.0)
            await clock.sleep(max(0.0, due - clock.monotonic()))
            if not emitter.is_paused:
                emitter.emit()


def _turns(plan: Plan, emitters: list[Emitter]) -> list[Emitter]:
    """Each source as often as its weight says, its turns spread over the round."""
    placed = [
        ((turn + 0.5) / plan.weight_of(emitter.name), place, emitter)
        for place, emitter in enumerate(emitters)
        for turn in range(plan.weight_of(emitter.name))
    ]
    return [emitter for _, _, emitter in sorted(placed, key=lambda each: each[:2])]


async def _obey(plan: Plan, emitters: list[Emitter]) -> None:
    """Carry out an order at each SIGUSR2; see orders.py."""
    is_called = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, is_called.set)
    while True:
        await is_called.wait()
        is_called.clear()
        order = json.loads((plan.data / "order.json").read_text())
        (emitter,) = (each for each in emitters if each.name == order["source"])
        numbers = await emitter.obey(order["order"])
        _replace(plan.data / "done.json", json.dumps(order | {"numbers": numbers, "boot": emitter.outbox.boot}))


async def _keep_status(plan: Plan, emitters: list[Emitter], clock: Clock) -> None:
    while True:
        _write_status(plan, emitters)
        await clock.sleep(STATUS_SECONDS)


def _write_status(plan: Plan, emitters: list[Emitter]) -> None:
    facts = {"pid": os.getpid(), "sources": {emitter.name: emitter.status() for emitter in emitters}}
    _replace(plan.status_file, json.dumps(facts))


def _replace(path: Path, text: str) -> None:
    draft = path.with_suffix(".new")
    draft.write_text(text)
    draft.replace(path)


def main() -> None:
    configure()

    async def run_until_terminated() -> None:
        task = asyncio.ensure_future(run(Plan.read(Path(sys.argv[1]))))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()

    asyncio.run(run_until_terminated())


if __name__ == "__main__":
    main()
