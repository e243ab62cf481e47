"""Both ends of a link for tests: real sockets, real CURVE, real spools; only what lies behind them is simple."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from core.model.ranges import RangeSet
from core.model.record import iterate
from core.runtime.clock import SystemClock
from core.runtime.counters import Counters
from core.security.authority import KeyRing, Peer
from core.spool.spool import Spool, SpoolLimits
from core.wire.collector import Collector
from core.wire.curve import make_keys
from core.wire.greeter import HeartbeatFacts, HelloFacts
from core.wire.messages import Welcome
from core.wire.publisher import Publisher, Upstream
from core.wire.timings import LinkTimings
from tests.support.records import BOOT, SOURCE, record
from tests.support.waiting import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
    from pathlib import Path
    from typing import Any
    from uuid import UUID

    from core.security.keys import KeyPair
    from core.wire.collector import LinkRefusal
    from core.wire.greeter import AckKind
    from core.wire.messages import Acknowledgements, Configuration, Hello, Redirect, Refusal, SourceMessage

# Short is how often something is done. What ends a link that does not answer is long: both ends of a test's links live
# in one process, and when that is held up nobody is dead.
SHORT = LinkTimings(
    heartbeat_seconds=0.1,
    dead_seconds=60.0,
    welcome_seconds=5.0,
    clone_seconds=0.5,
    receiver_seconds=5.0,
    probe_seconds=0.1,
    probes_until_steady=2,
    again_seconds=0.2,
    stuck_seconds=60.0,
    first_retry_seconds=0.02,
    longest_retry_seconds=0.1,
)


class Ledger:
    """A receiver that keeps what it was given and says it is stored; a server in miniature."""

    def __init__(self) -> None:
        self.received: dict[tuple[bytes, int], RangeSet] = {}
        self.received_records = 0
        self.received_bytes = 0
        self.collector: Collector | None = None
        self.answer: Redirect | Refusal | None = None
        self.says_stored = True
        self.epoch = 1
        self.hellos: list[Hello] = []
        self.heard_messages: list[SourceMessage] = []
        self.room = asyncio.Event()
        self.room.set()

    def reign(self, epoch: int, *, is_active: bool = True) -> None:
        """Be the server of this epoch, or the standby beside it."""
        assert self.collector is not None
        self.epoch = epoch
        self.collector.stand(role="server", epoch=epoch, is_active=is_active)

    async def greet(self, peer: Peer, hello: Hello) -> Welcome | Redirect | Refusal:
        self.hellos.append(hello)
        if self.answer is not None:
            return self.answer
        boots = [boot for boot, _, _ in hello.boots]
        mine = {boot: self.received.get((peer.source or b"", boot), RangeSet()) for boot in boots}
        return Welcome(
            epoch=self.epoch,
            seen=tuple((boot, ranges.highest, 0) for boot, ranges in mine.items()),
            stored=tuple((boot, tuple(ranges)) for boot, ranges in mine.items()),
        )

    async def receive(self, peer: Peer, records: bytes) -> None:  # noqa: ARG002 - the protocol's
        await self.room.wait()
        acks: dict[tuple[bytes, int], RangeSet] = {}
        for _, header in iterate(records):
            for known in (self.received, acks):
                known.setdefault((header.source, header.boot), RangeSet()).add(header.number, header.number)
            self.received_records += 1
        self.received_bytes += len(records)
        if self.says_stored and self.collector is not None:
            self.collector.acknowledge("stored", acks)

    async def heard(self, peer: Peer, message: SourceMessage) -> None:  # noqa: ARG002 - the protocol's
        del self.heard_messages[:-1000]
        self.heard_messages.append(message)

    def has(self, last: int, *, source: UUID = SOURCE, boot: int = BOOT, first: int = 1) -> bool:
        return self.received.get((source.bytes, boot), RangeSet()).covers(first, last)


class Notes:
    """A greeter that writes down what happens."""

    def __init__(self, spool: Spool, source: UUID = SOURCE, boot: int = BOOT) -> None:
        self.spool = spool
        self.source = source.bytes
        self.boot = boot
        self.last_number = 0
        self.epoch = 0
        self.role = "agent"
        self.welcomes: list[Welcome] = []
        self.acks: dict[AckKind, RangeSet] = {"taken": RangeSet(), "stored": RangeSet(), "refused": RangeSet()}
        self.configurations: list[Configuration] = []

    def hello(self) -> HelloFacts:
        return HelloFacts(
            role=self.role, name="tester", source=self.source, boots=((self.boot, 1, self.last_number),),
            configuration=0, epoch=self.epoch, software="test",
        )  # fmt: skip

    def welcomed(self, welcome: Welcome) -> None:
        self.welcomes.append(welcome)

    def acknowledged(self, kind: AckKind, acks: Acknowledgements) -> None:
        for (source, boot), ranges in acks.items():
            if (source, boot) == (self.source, self.boot):
                self.acks[kind].update(ranges)

    async def configured(self, message: Configuration) -> None:
        self.configurations.append(message)

    def epoch_seen(self, epoch: int) -> None:
        self.epoch = epoch

    def heartbeat(self) -> HeartbeatFacts:
        return HeartbeatFacts(
            boot=self.boot, number=self.last_number, held_records=self.spool.held_records,
            held_bytes=self.spool.held_bytes, oldest_at=self.spool.oldest_at or 0,
        )  # fmt: skip


class End:
    """The collecting end: a collector with its ledger and its key ring; `stop` and `start` again keep the ports."""

    def __init__(self, peers: Iterable[Peer] = (), timings: LinkTimings = SHORT, window_bytes: int = 1 << 20) -> None:
        self.keys = make_keys()
        self.ring = KeyRing(peers)
        self.counters = Counters()
        self.refusals: list[LinkRefusal] = []
        self.ledger = Ledger()
        self.timings = timings
        self.window_bytes = window_bytes
        self.collector = self._make(0, 0)
        self._task: asyncio.Task[None] | None = None

    def _make(self, control_port: int, data_port: int) -> Collector:
        collector = Collector(
            keys=self.keys, authority=self.ring, bind_host="127.0.0.1", control_port=control_port,
            data_port=data_port, clock=SystemClock(), receiver=self.ledger, counters=self.counters,
            timings=self.timings, window_bytes=self.window_bytes, on_refusal=self.refusals.append,
        )  # fmt: skip
        collector.stand(role="server", epoch=self.ledger.epoch, is_active=True)
        self.ledger.collector = collector
        return collector

    @property
    def upstream(self) -> Upstream:
        return Upstream(endpoint=f"tcp://127.0.0.1:{self.collector.control_port}", key=self.keys.public)

    async def start(self) -> None:
        self._task = asyncio.create_task(self.collector.run())
        ready = asyncio.create_task(self.collector.ready.wait())
        try:
            await asyncio.wait((ready, self._task), timeout=PATIENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        if self._task.done():
            self._task.result()  # says why it cannot serve
        assert self.collector.ready.is_set(), "the collector did not start"

    async def stop(self) -> None:
        """End the collector as a crash does: no word to anybody, the ledger stays."""
        assert self._task is not None
        await end(self._task)
        self.collector = self._make(self.collector.control_port, self.collector.data_port)

    def refused(self, kind: str) -> float:
        return self.counters.get(f"link.refused.{kind}")


class Origin:
    """The publishing end: a spool, a publisher and the notes of what it heard."""

    def __init__(
        self,
        folder: Path,
        upstreams: Sequence[Upstream],
        *,
        keys: KeyPair | None = None,
        source: UUID = SOURCE,
        boot: int = BOOT,
        timings: LinkTimings = SHORT,
        limits: SpoolLimits | None = None,
    ) -> None:
        self.keys = keys or make_keys()
        self.source = source
        self.boot = boot
        self.spool = Spool.open(folder, limits or SpoolLimits(segment_bytes=64 << 10))
        self.notes = Notes(self.spool, source, boot)
        self.counters = Counters()
        self.publisher = Publisher(
            spool=self.spool, keys=self.keys, upstreams=upstreams, greeter=self.notes, clock=SystemClock(),
            counters=self.counters, timings=timings,
        )  # fmt: skip
        self._task: asyncio.Task[None] | None = None

    @property
    def peer(self) -> Peer:
        return Peer(key=self.keys.public, role="agent", name="tester", source=self.source.bytes)

    def publish(self, count: int, values: int = 3) -> None:
        for _ in range(count):
            self.notes.last_number += 1
            self.spool.append(record(self.notes.last_number, source=self.source, boot=self.boot, values=values))
        self.publisher.notify()

    @property
    def is_up(self) -> bool:
        return self.publisher.state.upstream is not None

    def start(self) -> None:
        self._task = asyncio.create_task(self.publisher.run())

    async def stop(self) -> None:
        if self._task is not None:
            await end(self._task)
        self.spool.close()


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for it; what it raised before that is raised here."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@asynccontextmanager
async def running(*parts: End | Origin) -> AsyncIterator[None]:
    """Start the parts and stop them, the last first."""
    try:
        for part in parts:
            if isinstance(part, End):
                await part.start()
            else:
                part.start()
        yield
    finally:
        for part in reversed(parts):
            await part.stop()


def peer_of(keys: KeyPair, source: UUID | None = SOURCE, role: str = "agent", name: str = "tester") -> Peer:
    return Peer(key=keys.public, role=role, name=name, source=source.bytes if source else None)


def revoked(peer: Peer) -> Peer:
    return replace(peer, revoked=True)


async def within(seconds: float, work: Coroutine[Any, Any, None]) -> None:
    await asyncio.wait_for(work, seconds)
