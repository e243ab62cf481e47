"""Composes the proxy; reading `run_proxy` is reading its architecture."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING, NoReturn

from core.runtime.counters import Counters
from core.runtime.logging import Log
from core.security.keys import read_public
from core.spool.spool import Spool, SpoolLimits
from core.wire.collector import Collector, CollectorFault
from core.wire.curve import load_or_create
from core.wire.publisher import Publisher, Upstream
from proxy.configuration import FILE, ProxyConfiguration
from proxy.custody import Custody
from proxy.forwarder import Forwarder
from proxy.polling.poller import Poller, PollerFolders
from proxy.presence import PresenceReporter
from proxy.reception import Reception
from proxy.seen import SeenNumbers

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.runtime.clock import Clock
    from core.wire.greeter import AckKind
    from core.wire.messages import Acknowledgements
    from core.wire.timings import LinkTimings
    from proxy.settings import ProxySettings

_log = Log("proxy")
_OUTDATED_SECONDS = 5.0


async def run_proxy(
    settings: ProxySettings,
    clock: Clock,
    *,
    timings: LinkTimings | None = None,
    on_ready: Callable[[Collector], None] | None = None,
) -> NoReturn:
    """Take agents in, keep what they hand over, forward it; until cancelled. What was taken stays on disk.

    `on_ready` is called once agents can connect. Raises KeyFault, SpoolFault or CollectorFault when key file, data
    folder or address cannot be used.
    """
    counters = Counters()
    keys = load_or_create(settings.key_file)
    spool = Spool.open(settings.data / "spool", SpoolLimits(max_bytes=settings.spool_limit), clock.monotonic)
    custody = Custody(spool=spool, seen=SeenNumbers(settings.data / "seen.msgpack"), clock=clock, counters=counters)
    ending = ExitStack()
    ending.callback(custody.close)
    try:
        configuration = ProxyConfiguration(settings.data / FILE)
        reception = Reception(custody, configuration)
        collector = Collector(
            keys=keys,
            authority=configuration.ring,
            bind_host=settings.listen,
            control_port=settings.control_port,
            data_port=settings.data_port,
            clock=clock,
            receiver=reception,
            counters=counters,
            timings=timings,
        )
        forwarder = Forwarder(
            name=settings.name,
            custody=custody,
            configuration=configuration,
            reception=reception,
            collector=collector,
        )
        publisher = Publisher(
            spool=spool,
            keys=keys,
            upstreams=[Upstream(endpoint=server.endpoint, key=read_public(server.key)) for server in settings.servers],
            greeter=forwarder,
            clock=clock,
            counters=counters,
            timings=timings,
        )
        reporter = PresenceReporter(
            collector=collector, publisher=publisher, configuration=configuration, counters=counters, clock=clock
        )
        poller = Poller(
            PollerFolders(spool=settings.data / "polling", secrets=settings.secrets or settings.data / "secrets"),
            public_key=keys.public,
            custody=custody,
            configuration=configuration,
            clock=clock,
            counters=counters,
        )
        ending.callback(poller.close)

        def acknowledge(kind: AckKind, acks: Acknowledgements) -> None:
            collector.acknowledge(kind, acks)
            poller.acknowledged(kind, acks)

        custody.acknowledge = acknowledge
        forwarder.poller = poller
        custody.notify = publisher.notify
        reception.send = collector.send
        reception.relay = publisher.send
        forwarder.send = publisher.send
        _watch(counters, spool)
        _log.info("The proxy starts", proxy_name=settings.name, held_records=spool.held_records)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(collector.run(), name="collector")
            tasks.create_task(custody.keep_synced(), name="custody")
            tasks.create_task(custody.keep_seen(), name="seen numbers")
            tasks.create_task(publisher.run(), name="forwarder")
            tasks.create_task(reporter.run(), name="presence")
            tasks.create_task(poller.run(), name="poller")
            tasks.create_task(_forget_outdated(configuration, clock), name="outdated peers")
            await collector.ready.wait()
            if on_ready is not None:
                on_ready(collector)
    except* CollectorFault as group:
        fault = group.exceptions[0]
    else:
        raise AssertionError("a proxy ends by an exception")
    finally:
        ending.close()
    raise fault


async def _forget_outdated(configuration: ProxyConfiguration, clock: Clock) -> NoReturn:
    version = configuration.version
    while True:
        await clock.sleep(_OUTDATED_SECONDS)
        if configuration.version == version:
            configuration.forget_outdated()
        version = configuration.version


def _watch(counters: Counters, spool: Spool) -> None:
    counters.watch("spool.held_records", lambda: spool.held_records)
    counters.watch("spool.held_bytes", lambda: spool.held_bytes)
    counters.watch("spool.appended_records", lambda: spool.appended_records)
    counters.watch("spool.damaged_records", lambda: spool.damaged_records)
