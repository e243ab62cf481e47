"""Composes the server; reading `run_server` is reading its architecture."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from core.runtime.clock import SharedClock
from core.runtime.counters import Counters
from core.runtime.logging import Log
from core.wire.collector import Collector
from core.wire.curve import load_or_create
from core.wire.feed import Feed
from server.api.application import make_application
from server.api.composition import make_services
from server.api.port import PortTerms, open_port
from server.api.web_terms import WebTerms
from server.balancing.placements import Placements
from server.distribution.distributor import Distributor
from server.distribution.polling import PollShares
from server.enrolment.rotation import Rotations
from server.enrolment.serving import serve_enrolment
from server.feed.publisher import FeedPublisher
from server.health import Health
from server.intake.desk import Desk
from server.intake.presence import PresenceBook
from server.intake.reception import Reception
from server.inventory.apply import install_shipped
from server.inventory.keep import Keep, Retention
from server.lease.candidacy import Candidacy
from server.lease.roll import Roll
from server.ordering.orders import RunOrders
from server.page_address import page_url
from server.picture import Picture
from server.realm import Realm
from server.refusals import Refusals
from server.restoring.station import RestoreStation
from server.store.database import Database, DatabaseOptions
from server.store.errors import StoreAway
from server.store.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from core.runtime.clock import Clock
    from core.security.keys import KeyPair
    from core.wire.timings import LinkTimings
    from server.api.services import Pages
    from server.settings import ServerSettings

log = Log("server")

STORE_PAUSE_SECONDS: Final = 0.5


async def run_server(
    settings: ServerSettings,
    clock: Clock,
    *,
    pages: Pages | None = None,
    timings: LinkTimings | None = None,
    ready: Callable[[str], None] = lambda url: None,  # noqa: ARG005 - nobody waits
) -> None:
    """Serve until cancelled, active or standby; a clean end hands the lease over at once.

    `ready` is called with the page's URL once it is served. Raises Replaced (server/lease/candidacy), MigrationError,
    KeyFault, PortUnusable, CollectorFault.
    """
    clock = SharedClock(clock)  # all servers, and what they judge by it, go by the database's
    options = DatabaseOptions(dsn=settings.dsn, server=settings.name)
    await _wait_for_store(options, clock)
    counters, refusals = Counters(), Refusals(clock)
    async with Database(options) as database, Database(options, purpose="api") as api_database:
        keys = load_or_create(settings.key_file)
        picture = Picture(database, clock, clock.heard)
        presence = PresenceBook(clock, settings.nodata_grace.total_seconds())
        reception = Reception(clock, counters)
        desk = Desk(
            reception=reception,
            presence=presence,
            directory=lambda: picture.directory,
            active_endpoint=lambda: candidacy.active_endpoint,
            clock=clock,
            is_heir=lambda: candidacy.is_heir,
        )
        collector = Collector(
            keys=keys,
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
        placements = Placements(is_balancing=settings.balancing)
        health = Health(
            server=settings.name,
            desk=desk,
            presence=presence,
            picture=picture,
            refusals=refusals,
            counters=counters,
            clock=clock,
            placements=placements,
            roll=lambda: roll,
            skew_seconds=lambda: clock.skew_seconds,
        )
        rotations = Rotations(
            database=database,
            clock=clock,
            directory=lambda: picture.directory,
            presence=presence,
            is_active=lambda: desk.duty is not None,
            count_refusal=lambda kind, detail: refusals.count(f"enrolment.{kind}", detail),
        )
        run_orders = RunOrders()

        def amended(source: bytes, document: dict[str, Any]) -> dict[str, Any]:
            known = picture.directory.sources.get(source)
            ordered = run_orders.amended(None if known is None else known.name, document)
            return placements.amended(source, rotations.amended(source, ordered))

        distributor = Distributor(
            collector,
            lambda: health.epoch,
            lambda: picture.directory,
            lambda: picture.inventory,
            presence.clones.barred,
            amended,
            polled=PollShares(presence, lambda: picture.directory, lambda: picture.inventory, clock).documents,
        )
        desk.welcomed = distributor.begin
        desk.offered = rotations.offered
        feed = _open_feed(settings, keys, picture, clock, counters, refusals)
        teller = None if feed is None else FeedPublisher(feed, api_database, clock, counters)
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
            retention=Retention(
                default=Keep(history=settings.retention, trends=settings.trends_retention),
                inventory=lambda: picture.inventory,
            ),
            secrets=settings.secrets,
            feed=teller,
            placements=placements,
            run_orders=run_orders,
            balance_every=settings.balance_every,
            takeover_after=settings.takeover_after,
            page_url=page_url(
                settings.web_url, listen=settings.web_listen, port=settings.web_port, is_https=settings.web_is_https
            ),
            parts=health.parts,
            clock_skew_seconds=lambda: clock.skew_seconds,
        )
        candidacy = Candidacy(realm, settings)
        roll = Roll(database, realm, settings.name, candidacy)
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
            if feed is not None and teller is not None:
                tasks.create_task(feed.run(), name="feed")
                tasks.create_task(teller.run(), name="feed publisher")
            await collector.ready.wait()
            tasks.create_task(roll.keep(), name="roll of servers")
            tasks.create_task(candidacy.run(), name="lease")


def _open_feed(
    settings: ServerSettings, keys: KeyPair, picture: Picture, clock: Clock, counters: Counters, refusals: Refusals
) -> Feed | None:
    """Return the live feed, not served yet; None when there is to be none."""
    if settings.feed_port is None:
        return None
    return Feed(
        keys=keys,
        authority=picture,
        bind_host=settings.feed_listen,
        port=settings.feed_port,
        clock=clock,
        counters=counters,
        on_refusal=refusals.count_link,
    )


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
