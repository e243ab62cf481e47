"""Composes the poller: its outbox, its lines to devices, and the way of its records into the proxy's custody."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

from core.runtime.logging import Log
from core.security.poller import poller_source
from core.spool.faults import SpoolFault
from core.spool.outbox import Outbox
from core.spool.spool import SpoolLimits
from probes.device import Shared
from probes.polling import status_reading
from proxy.polling.lanes import Lanes
from proxy.polling.line import Ground, Line
from proxy.polling.outlet import Outlet
from proxy.polling.share import read_share

if TYPE_CHECKING:
    from pathlib import Path

    from core.runtime.clock import Clock
    from core.runtime.counters import Counters
    from core.wire.greeter import AckKind
    from core.wire.messages import Acknowledgements
    from proxy.configuration import ProxyConfiguration
    from proxy.custody import Custody
    from proxy.polling.share import Plan

_log = Log("poller")
_RETRY_SECONDS: Final = 10.0
_SETTLE_SECONDS: Final = 0.5  # a large share comes in several messages
_PIECE_BYTES: Final = 256 << 10
_LOOK_SECONDS: Final = 1.0
_SPOOL_BYTES: Final = 256 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PollerFolders:
    """Where its records wait, and where what devices want to know lies."""

    spool: Path
    secrets: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """The poller as a source: there is one as soon as there is something to poll."""

    outbox: Outbox
    ground: Ground


class Poller:
    """Polls this proxy's share of the hosts. Its records are on disk first, then in custody, then trimmed here."""

    def __init__(
        self,
        folders: PollerFolders,
        *,
        public_key: bytes,
        custody: Custody,
        configuration: ProxyConfiguration,
        clock: Clock,
        counters: Counters,
    ) -> None:
        """Open what an earlier life left. Raises SpoolFault."""
        self._folders = folders
        self._id = poller_source(public_key)
        self._custody = custody
        self._configuration = configuration
        self._clock = clock
        self._counters = counters
        self._shared = Shared()
        self._wake = asyncio.Event()
        self._is_changed = asyncio.Event()
        self._plans: dict[str, Plan] = {}
        self._lines: dict[str, list[tuple[Line, asyncio.Task[NoReturn]]]] = {}
        self._source = self._open() if folders.spool.exists() else None
        counters.watch("poll.hosts", lambda: len(self._plans))
        counters.watch("poll.silent_lines", self._count_silent)

    @property
    def issued(self) -> tuple[int, int]:
        """The present boot and the last number it issued; zeros when nothing was polled yet."""
        return (0, 0) if self._source is None else (self._source.outbox.boot, self._source.outbox.last_number)

    def reconsider(self) -> None:
        """Look again what this proxy is to poll, soon."""
        self._is_changed.set()

    def acknowledged(self, kind: AckKind, acks: Acknowledgements) -> None:
        """Let go of the records that custody has on disk, or that the server has stored or refused."""
        del kind  # whichever it is, they are kept elsewhere or never will be
        for (source, boot), ranges in acks.items():
            if source == self._id.bytes and self._source is not None:
                self._source.outbox.spool.mark_stored(source, boot, ranges)

    async def run(self) -> NoReturn:
        """Poll until cancelled; then every line has ended. A share that was remembered is polled at once."""
        try:
            async with asyncio.TaskGroup() as tasks:
                source = await self._begin_source()
                tasks.create_task(source.ground.outlet.run(), name="poller's outlet")
                tasks.create_task(self._hand_over(source.outbox), name="poller's records")
                while True:
                    self._is_changed.clear()
                    self._apply(read_share(self._configuration.polled()), source.ground, tasks)
                    await self._is_changed.wait()
                    await self._clock.sleep(_SETTLE_SECONDS)
        finally:
            if self._source is not None:
                self._source.ground.outlet.flush()

    def close(self) -> None:
        """End this boot and let go of devices and disk. Raises SpoolFault from the last fsync."""
        self._shared.close()
        if self._source is not None:
            self._source.outbox.close()

    def _open(self) -> _Source:
        outbox = Outbox.open(self._folders.spool, self._id, SpoolLimits(max_bytes=_SPOOL_BYTES), self._clock)
        ground = Ground(
            outlet=Outlet(outbox, self._clock, self._counters, self._wake.set),
            lanes=Lanes(),
            shared=self._shared,
            secrets=self._folders.secrets,
            clock=self._clock,
            counters=self._counters,
        )
        return _Source(outbox=outbox, ground=ground)

    async def _begin_source(self) -> _Source:
        """Return the source as soon as there is something to poll, or something of an earlier life to deliver."""
        while self._source is None:
            self._is_changed.clear()
            if not self._configuration.polled():
                await self._is_changed.wait()
                continue
            try:
                self._source = self._open()
            except SpoolFault as error:
                _log.error("Nothing can be polled: the poller's folder cannot be used", error=error)
                await self._clock.sleep(_RETRY_SECONDS)
        return self._source

    def _apply(self, share: dict[str, Plan], ground: Ground, tasks: asyncio.TaskGroup) -> None:
        for host in [host for host, plan in self._plans.items() if share.get(host) != plan]:
            for _, task in self._lines.pop(host, ()):
                task.cancel()
            ground.outlet.forget(host)
            del self._plans[host]
        fresh = {host: plan for host, plan in share.items() if host not in self._plans}
        ground.outlet.begin(fresh)
        for host, plan in fresh.items():
            self._plans[host] = plan
            self._begin(host, plan, ground, tasks)
        if fresh:
            _log.info("Hosts are polled", hosts=len(self._plans), fresh=len(fresh))

    def _begin(self, host: str, plan: Plan, ground: Ground, tasks: asyncio.TaskGroup) -> None:
        lines = []
        for protocol in dict.fromkeys(assignment.probe.polls for assignment in plan.assignments):
            asked = [assignment for assignment in plan.assignments if assignment.probe.polls == protocol]
            line = Line(ground, plan.device, protocol, asked)
            lines.append((line, tasks.create_task(line.run(), name=f"line to {host} by {protocol}")))
        self._lines[host] = lines
        for label, fault in plan.faults.items():
            _log.warning("A probe of a device cannot be run", host=host, probe=label, error=fault)
        told = [status_reading(label, [fault]) for label, fault in plan.faults.items()]
        ground.outlet.put(host, self._clock.now_us(), told)

    async def _hand_over(self, outbox: Outbox) -> NoReturn:
        """Put what is appended into custody, in order; waits while custody is full, which knows what it has."""
        spool = outbox.spool
        cursor = spool.begin
        while True:
            self._wake.clear()
            piece = spool.read(cursor, _PIECE_BYTES)
            if piece is not None:
                await self._custody.take(piece.data)
                cursor = piece.end
                continue
            try:
                async with asyncio.timeout(_LOOK_SECONDS):  # wait_for may lose a cancellation on Python 3.11
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _count_silent(self) -> int:
        return sum(line.silences > 0 for lines in self._lines.values() for line, _ in lines)
