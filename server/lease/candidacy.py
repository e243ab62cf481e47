"""A server's way through the lease: stand by until it is free, reign, hand over."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from core.runtime.cancellation import honour_cancellation
from core.runtime.logging import Log
from server.ingest.loop import MemoryBehind
from server.lease.readiness import Readiness
from server.lease.standby import LeaseWatch, Silence
from server.reign import Reign
from server.store.database import Database
from server.store.errors import Fenced, StoreAway
from server.store.lease import read_lease, take

if TYPE_CHECKING:
    from server.lease.standby import Standing
    from server.realm import Realm
    from server.settings import ServerSettings
    from server.store.lease import Lease, LeaseView

log = Log("server")

WATCH_SECONDS: Final = 0.25
ASKED_SECONDS: Final = 0.05
LOOK_SECONDS: Final = 3.0
READY_SECONDS: Final = 0.5
SUCCESSION_SECONDS: Final = 5.0
"""How long a server that has handed over waits for the next one; when none comes it takes the lease again."""
END_SECONDS: Final = 15.0
"""What a replaced server may take to end in order (four seconds on a machine that is not busy); then its process ends
all the same."""
REPLACED_EXIT_CODE: Final = 3


class Replaced(Exception):
    """Another server has taken over: this process ends, so that nothing of the old reign survives in it."""


class Candidacy:
    """One server's standing towards the lease."""

    def __init__(self, realm: Realm, settings: ServerSettings) -> None:
        self._realm = realm
        self._settings = settings
        self._silence = Silence.of(settings.takeover_after.total_seconds())
        self._watch = LeaseWatch(self._silence, settings.name)
        self._view: LeaseView | None = None
        self._standing: Standing = "held"
        self._readiness = Readiness(realm)

    @property
    def endpoint(self) -> str:
        """How proxies reach this server."""
        return self._settings.endpoint or f"tcp://{self._settings.listen}:{self._realm.collector.control_port}"

    @property
    def active_endpoint(self) -> str:
        """How proxies reach the active server; empty when there may be none."""
        return "" if self._view is None or self._standing != "held" else self._view.endpoint

    @property
    def is_heir(self) -> bool:
        """Whether this standby is likely to become active within seconds."""
        return self._standing != "held"

    async def run(self) -> None:
        """Stand by, reign, and begin again when a reign could not begin or its end brought no successor.

        Raises Replaced when another server has the lease. Cancelled while reigning, hand over.
        """
        try:
            await self._run()
        finally:
            await self._readiness.close()

    async def _run(self) -> NoReturn:
        while True:
            lease = await self._stand_by()
            try:
                # A task of its own: in Python 3.11 a failed TaskGroup leaves its task looking cancelled, and this one
                # has to go on (core/runtime/cancellation).
                reign = Reign(self._realm, lease, *await self._readiness.hand_out(lease.epoch))
                await asyncio.create_task(reign.run(), name="reign")
            except* Fenced as group:
                asyncio.get_running_loop().call_later(END_SECONDS, _end_at_once)
                raise Replaced(str(group.exceptions[0])) from group
            except* MemoryBehind as group:
                log.warning("the reign ends, to begin again from the store", reason=group.exceptions[0])
            except* StoreAway as group:
                log.warning("the reign could not begin", error=group.exceptions[0])
            else:
                await self._await_successor(lease)
            honour_cancellation()
            self._realm.reception.clear()

    async def _stand_by(self) -> Lease:
        """Return the lease once it is taken."""
        preparing = asyncio.create_task(self._keep_ready(), name="readiness")
        try:
            return await self._await_lease()
        finally:
            preparing.cancel()
            await asyncio.gather(preparing, return_exceptions=True)

    async def _keep_ready(self) -> NoReturn:
        """Prepare beside the looks, which must not wait for it."""
        while True:
            view = self._view
            if view is not None and self._standing == "held" and view.holder != self._settings.name:
                with suppress(StoreAway):  # a reign connects by itself
                    await self._readiness.keep(view)
            await self._realm.clock.sleep(READY_SECONDS)

    async def _await_lease(self) -> Lease:
        options = self._realm.options
        clock = self._realm.clock
        async with Database(replace(options, max_connections=1), purpose="watch") as database:
            while True:
                limit = await self._look(database)
                if limit is not None:
                    lease = await self._take(limit)
                    if lease is not None:
                        return lease
                # Sources that come here were sent away by the active one, or have lost it.
                await clock.sleep(ASKED_SECONDS if self._realm.desk.is_asked else WATCH_SECONDS)

    async def _look(self, database: Database) -> float | None:
        """Look at the lease once; return the silence it has exceeded when it is to be taken."""
        clock = self._realm.clock
        asked = clock.monotonic()
        try:
            async with database.connection(LOOK_SECONDS) as connection:
                view = await read_lease(connection)
        except StoreAway:
            self._watch.interrupt()
            honour_cancellation()
            return None
        standing = self._watch.judge(view, asked, clock.monotonic())
        if standing == "free" and not view.is_released:
            log.info(
                "the active server is silent; this one takes over",
                holder=view.holder,
                silent_seconds=round(view.heartbeat_age_seconds, 1),
                is_connected=view.is_holder_connected,
            )
        self._view, self._standing = view, standing
        return self._silence.limit(view) if standing == "free" else None

    async def _take(self, limit: float) -> Lease | None:
        try:
            return await take(
                self._realm.options,
                endpoint=self.endpoint,
                stale_after_seconds=limit,
                database=self._readiness.taker,
            )
        except StoreAway:
            honour_cancellation()
            return None

    async def _await_successor(self, lease: Lease) -> None:
        """Return when nobody has taken the lease that was handed over. Raises Replaced when somebody has."""
        clock = self._realm.clock
        deadline = clock.monotonic() + SUCCESSION_SECONDS
        async with Database(replace(self._realm.options, max_connections=1), purpose="watch") as database:
            while clock.monotonic() < deadline:
                try:
                    async with database.connection(LOOK_SECONDS) as connection:
                        view = await read_lease(connection)
                except StoreAway:
                    honour_cancellation()
                else:
                    if view.epoch > lease.epoch:
                        raise Replaced(f"handed over as wished: {view.holder} is active, epoch {view.epoch}")
                await clock.sleep(WATCH_SECONDS)
        log.warning("nobody took the lease that was handed over; this server goes on", epoch=lease.epoch)


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
