"""Composes the agent; reading `run_agent` is reading its architecture."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from agent.greeting import AgentGreeter
from agent.identity import Identity
from agent.outlet import Outlet
from agent.preference import arrange
from agent.rotation import KeyReplacement
from agent.sampler import Sampler
from core.runtime.counters import Counters
from core.runtime.logging import Log
from core.security.keys import read_public
from core.spool.keeping import keep_synced
from core.spool.outbox import Outbox
from core.spool.spool import SpoolLimits
from core.wire.publisher import Publisher, Upstream
from probes.registry import find_probe
from probes.visit import Visit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.document import FindProbe
    from agent.settings import AgentSettings
    from core.runtime.clock import Clock
    from core.wire.timings import LinkTimings

log = Log("agent")


async def run_agent(
    settings: AgentSettings,
    clock: Clock,
    *,
    find: FindProbe = find_probe,
    timings: LinkTimings | None = None,
) -> None:
    """Sample and deliver until cancelled; then end this boot with a closing record, on disk when this returns.

    What was not stored by a server stays in the data folder for the next start. Raises SpoolFault when the folder
    cannot be used, KeyFault when the key file cannot.
    """
    counters = Counters()
    identity = Identity(settings.key_file, clock)
    outbox = Outbox.open(settings.data / "spool", settings.source, SpoolLimits(max_bytes=settings.spool_limit), clock)
    try:
        spool = outbox.spool

        def own() -> Mapping[str, float]:
            return {
                **counters.snapshot(),
                "agent.spool_bytes": float(spool.held_bytes),
                "agent.dropped_records": float(spool.dropped_records),
            }

        greeter = AgentGreeter(
            name=settings.name,
            outbox=outbox,
            file=settings.data / "remembered.json",
            find_probe=find,
            counters=counters,
        )
        upstreams = [Upstream(endpoint=u.endpoint, key=read_public(u.key)) for u in settings.upstreams]
        publisher = Publisher(
            spool=spool,
            keys=identity.pair,
            upstreams=arrange(upstreams, greeter.order),
            greeter=greeter,
            clock=clock,
            counters=counters,
            timings=timings,
        )
        sampler = Sampler(
            outlet=Outlet(outbox, counters, notify=publisher.notify),
            clock=clock,
            counters=counters,
            make_visit=lambda: Visit(
                str(settings.proc), own, folder=settings.data / "probes", commands=settings.commands, logs=settings.logs
            ),
            phase=settings.source.int % 10_007 / 10_007,
        )
        replacement = KeyReplacement(identity, clock, send=publisher.send, renew=publisher.begin_anew)
        greeter.attach(apply=sampler.apply, answer=publisher.send)
        greeter.accepted, greeter.rekey = identity.welcomed, replacement.heard
        greeter.reorder = lambda order: publisher.prefer(arrange(upstreams, order))
        log.info("The agent samples", name=settings.name, source=settings.source, boot=outbox.boot)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(sampler.run(), name="sampler")
            tasks.create_task(publisher.run(), name="publisher")
            tasks.create_task(replacement.run(), name="key replacement")
            tasks.create_task(keep_synced(spool, clock), name="late fsync")
            if settings.backup is not None:
                from agent.backups.archiving import ArchiveKeeper  # noqa: PLC0415 - an agent without backups needs neither
                from agent.backups.runner import BackupKeeper  # noqa: PLC0415 - as above

                keeper = BackupKeeper(settings.backup, settings.data / "probes", clock)
                keeper.hear(greeter.backup_told)
                greeter.told = keeper.hear
                tasks.create_task(keeper.run(), name="backups")
                tasks.create_task(ArchiveKeeper(settings.backup, clock).run(), name="archives")
            if settings.drills is not None:
                from agent.station import StationKeeper  # noqa: PLC0415 - as above

                station = StationKeeper(settings.drills, settings.data / "probes", clock)
                tasks.create_task(station.run(), name="drills and verifications")
    finally:
        outbox.close()
        log.info("The agent has ended its boot", boot=outbox.boot, last=outbox.last_number)
