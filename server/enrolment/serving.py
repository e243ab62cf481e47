"""Serves enrolment while the server runs, active or standby, when its configuration names a port."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NoReturn

from core.runtime.logging import Log
from server.api.port import PortTerms, open_port
from server.enrolment.crowd import Crowd
from server.enrolment.exchange import Exchange
from server.enrolment.port import make_enrolment_application
from server.enrolment.terms import Entrance, announce, terms_of, withdraw
from server.store.errors import StoreAway

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.runtime.clock import Clock
    from server.settings import ServerSettings
    from server.store.database import Database

log = Log("enrolment")

IDLE_SECONDS = 15.0
STORE_PAUSE_SECONDS = 2.0


async def serve_enrolment(
    settings: ServerSettings, database: Database, clock: Clock, count_refusal: Callable[[str, str], None]
) -> None:
    """Serve until cancelled; returns at once when no port is configured. Raises PortUnusable."""
    if settings.enrolment_port is None:
        await _tell_store(database, clock, None, settings.name)
        return
    terms = terms_of(settings)
    exchange = Exchange(database=database, terms=terms, clock=clock, count_refusal=count_refusal)
    application = make_enrolment_application(exchange, clock, count_refusal)
    port_terms = PortTerms(
        host=settings.enrolment_listen,
        port=settings.enrolment_port,
        idle_seconds=IDLE_SECONDS,
        guard=lambda make: Crowd(make, count_refusal),
    )
    async with open_port(application, port_terms) as port:
        url = settings.enrolment_url or f"http://{settings.enrolment_listen}:{port}"
        entrance = Entrance(url=url, fingerprint=terms.fingerprint, by_approval=terms.by_approval, server=settings.name)
        await _tell_store(database, clock, entrance, settings.name)
        log.info("newcomers are let in", url=url)
        await _for_ever()


async def _tell_store(database: Database, clock: Clock, entrance: Entrance | None, server: str) -> None:
    while True:
        try:
            async with database.connection() as connection:
                if entrance is None:
                    await withdraw(connection, server)
                else:
                    await announce(connection, entrance)
            return
        except StoreAway:
            await clock.sleep(STORE_PAUSE_SECONDS)


async def _for_ever() -> NoReturn:
    await asyncio.Event().wait()
    raise AssertionError("nobody sets it")
