"""Composes the server; reading `run_server` is reading its architecture."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from core.runtime.cancellation import honour_cancellation
from core.runtime.counters import Counters
from core.runtime.logging import Log
from core.wire.collector import Collector
from core.wire.curve import load_or_create
from server.api.application import make_application
from server.api.composition import make_services
from server.api.port import PortTerms, open_port
from server.api.services import WebTerms
from server.distribution.distributor import Distributor
from server.distribution.polling import PollShares
from server.enrolment.rotation import Rotations
from server.enrolment.serving import serve_enrolment
from server.health import Health, Refusals
from server.intake.desk import Desk
from server.intake.presence import PresenceBook
from server.intake.reception import Reception
from server.inventory.apply import install_shipped
from server.page_address import page_url_of
from server.picture import Picture
from server.reign import Realm, Reign
from server.restoring.station import RestoreStation
from server.store.database import Database, DatabaseOptions
from server.store.errors import Fenced, StoreAway
from server.store.lease import release, take
from server.store.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from core.runtime.clock import Clock
    from core.wire.timings import LinkTimings
    from server.api.services import Pages
    from server.settings import ServerSettings

log = Log("server")

WATCH_SECONDS: Final = 0.25
STORE_PAUSE_SECONDS: Final = 0.5
END_SECONDS: Final = 5.0
"""What a replaced server may take to end in order; then its process ends all the same."""
REPLACED_EXIT_CODE: Final = 3


class Replaced(Exception):
    """Another server has taken over: this process ends, so that nothing of the old reign survives in it."""


async def run_server(
    settings: ServerSettings,
    clock: Clock,
    *,
    pages: Pages | None = None,
    timings: LinkTimings | None = None,
    ready: Callable[[str], None] = lambda url: None,  # noqa: ARG005 - nobody waits
) -> None:
    """Serve until cancelled, active or standby; a clean end hands the lease over at once.

    `ready` is called with the page's URL once it is served. Raises Replaced, MigrationError, KeyFault, PortUnusable,
    CollectorFault.
    """
    options = DatabaseOptions(dsn=settings.dsn, server=settings.name)
    await _wait_for_store(options, clock)
    counters, refusals = Counters(), Refusals(clock)
    async with Database(options) as database, Database(options, purpose="api") as api_database:
        picture = Picture(database, clock)
        presence = PresenceBook(clock, settings.nodata_grace.total_seconds())
        reception = Reception(clock, counters)
        desk = Desk(
            reception=reception,
            presence=presence,
            directory=lambda: picture.directory,
            active_endpoint=lambda: "" if picture.lease is None else picture.lease.endpoint,
        )
        collector = Collector(
            keys=load_or_create(settings.key_file),
            authority=picture,
            bind_host=settings.listen,
            control_port=settings.control_port,
            data_port=settings.data_port,
            clock=clock,
            receiver=desk,
            counters=counters,
            timings=timings,
            on_refusal=refusals.count_link,
        )
        health = Health(
            server=settings.name,
            desk=desk,
            presence=presence,
            picture=picture,
            refusals=refusals,
            counters=counters,
            clock=clock,
        )
        rotations = Rotations(
            database=database,
            clock=clock,
            directory=lambda: picture.directory,
            presence=presence,
            is_active=lambda: desk.duty is not None,
            count_refusal=lambda kind, detail: refusals.count(f"enrolment.{kind}", detail),
        )
        distributor = Distributor(
            collector,
            lambda: health.epoch,
            lambda: picture.directory,
            lambda: picture.inventory,
            presence.clones.barred,
            rotations.amended,
            polled=PollShares(presence, lambda: picture.directory, lambda: picture.inventory, clock).documents,
        )
        desk.welcomed = distributor.begin
        desk.offered = rotations.offered
        realm = Realm(
            options=options,
            collector=collector,
            desk=desk,
            reception=reception,
            presence=presence,
            picture=picture,
            refusals=refusals,
            clock=clock,
            counters=counters,
            retention=settings.retention,
            secrets=settings.secrets,
            page_url=page_url_of(settings),
        )
        services = make_services(
            database=api_database,
            health=health,
            clock=clock,
            terms=WebTerms(is_https=settings.web_is_https),
            pages=pages,
            restoring=_restore_station(settings, clock),
            secrets=settings.secrets,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(picture.keep_looking(), name="picture")
            tasks.create_task(rotations.keep_looking(), name="key rotation")
            tasks.create_task(collector.run(), name="collector")
            tasks.create_task(_keep_telling(distributor, desk, presence, refusals, clock), name="distribution")
            tasks.create_task(_serve_web(make_application(services), settings, ready), name="web")
            tasks.create_task(
                serve_enrolment(settings, api_database, clock, lambda k, d: refusals.count(f"enrolment.{k}", d)),
                name="enrolment",
            )
            await collector.ready.wait()
            tasks.create_task(_hold_lease(realm, settings), name="lease")


def _restore_station(settings: ServerSettings, clock: Clock) -> RestoreStation | None:
    """Return what looks into backups; its scratch folder lies beside the server's key."""
    if settings.restore_station is None:
        return None
    return RestoreStation(settings.restore_station, settings.key_file.parent / f"restoring-{settings.name}", clock)


async def _wait_for_store(options: DatabaseOptions, clock: Clock) -> None:
    """Bring the database and the shipped definitions up to this version, as soon as it can be reached."""
    is_told = False
    while True:
        try:
            await migrate(options)
            async with Database(options, purpose="shipped") as database:
                await install_shipped(database)
            return
        except StoreAway as error:
            if not is_told:
                log.warning("waiting for the database", error=error)
            is_told = True
            await clock.sleep(STORE_PAUSE_SECONDS)


async def _hold_lease(realm: Realm, settings: ServerSettings) -> None:
    """Stand by until the lease is free, then reign. Cancelled while reigning, hand over."""
    stale_after = settings.takeover_after.total_seconds()
    endpoint = settings.endpoint or f"tcp://{settings.listen}:{realm.collector.control_port}"
    while True:
        try:
            lease = await take(realm.options, endpoint=endpoint, stale_after_seconds=stale_after)
        except StoreAway:
            lease = None
            honour_cancellation()
        if lease is None:
            await realm.clock.sleep(WATCH_SECONDS)
            continue
        try:
            # A task of its own: in Python 3.11 a failed TaskGroup leaves its task looking cancelled, and this one has
            # to go on (core/runtime/cancellation).
            await asyncio.create_task(Reign(realm, lease).run(), name="reign")
        except* Fenced as group:
            asyncio.get_running_loop().call_later(END_SECONDS, _end_at_once)
            raise Replaced(str(group.exceptions[0])) from group
        except* StoreAway as group:
            log.warning("the reign could not begin", error=group.exceptions[0])
        finally:
            await _hand_over(realm.options, lease.epoch)
        honour_cancellation()


def _end_at_once() -> None:
    """End the process of a replaced server that did not end in order, and say what was in the way."""
    stuck = sorted(f"{task.get_name()} at {_place_of(task)}" for task in asyncio.all_tasks())
    log.error("a replaced server did not end in order and ends at once", tasks=", ".join(stuck))
    os._exit(REPLACED_EXIT_CODE)


def _place_of(task: asyncio.Task[object]) -> str:
    """Return the file and line at which a task waits: the end of its chain of awaits."""
    waiting: object = task.get_coro()
    place = "?"
    while (frame := getattr(waiting, "cr_frame", None) or getattr(waiting, "gi_frame", None)) is not None:
        place = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        waiting = getattr(waiting, "cr_await", None) or getattr(waiting, "gi_yieldfrom", None)
    return place


async def _hand_over(options: DatabaseOptions, epoch: int) -> None:
    """Release the lease if it is still ours, so that a standby need not wait for our silence."""
    try:
        async with Database(options) as database, database.connection(timeout_seconds=3) as connection:
            await release(connection, epoch)
    except StoreAway as error:
        log.warning("the lease was not released; a standby takes over after a while", error=error)


async def _keep_telling(
    distributor: Distributor, desk: Desk, presence: PresenceBook, refusals: Refusals, clock: Clock
) -> None:
    while True:
        if desk.duty is not None:
            now = clock.monotonic()
            for proxy, key in presence.clones.judge(now):
                way = presence.upstreams.get(proxy)
                refusals.count_clone("its proxy" if way is None else way.peer.name, key)
            await distributor.refresh([up.peer for up in presence.upstreams.values() if up.is_fresh(now)])
        await clock.sleep(1.0)


async def _serve_web(application: web.Application, settings: ServerSettings, ready: Callable[[str], None]) -> None:
    async with open_port(application, PortTerms(host=settings.web_listen, port=settings.web_port)) as port:
        url = f"http://{settings.web_listen}:{port}/"
        log.info("the page is served", url=url)
        ready(url)
        await asyncio.Event().wait()
