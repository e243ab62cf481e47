"""Custody: what a source handed over is on this disk until the server has stored it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NoReturn

from core.model.ranges import RangeSet
from core.runtime.logging import Log
from core.spool.faults import SpoolFault, SpoolFull
from core.spool.lineage import Seen
from core.spool.scan import checksum_at, contents_of, records_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.runtime.clock import Clock
    from core.runtime.counters import Counters
    from core.spool.scan import Contents, Run
    from core.spool.spool import Spool
    from core.wire.greeter import AckKind
    from core.wire.messages import Acknowledgements
    from proxy.seen import SeenNumbers

Life = tuple[bytes, int]
_RETRY_SECONDS: Final = 1.0
_FULL_SECONDS: Final = 30.0  # for so long after it had no room, or its disk failed, a proxy says so
_STORED_LIVES: Final = 20_000  # of so many boots it is remembered what the server stored

_NOTHING: Final = RangeSet()

_log = Log("custody")


class Custody:
    """Keeps records in a spool. *Taken* is said only after they were fsynced; what comes twice is kept once."""

    def __init__(self, *, spool: Spool, seen: SeenNumbers, clock: Clock, counters: Counters) -> None:
        self.spool = spool
        self.acknowledge: Callable[[AckKind, Acknowledgements], None] = lambda _kind, _acks: None
        self.notify: Callable[[], None] = lambda: None
        self._seen = seen
        self._clock = clock
        self._counters = counters
        self._full_at = -_FULL_SECONDS
        self._failed_at = -_FULL_SECONDS
        # Room comes and goes on a full disk: what is reported every ten seconds has to show it.
        counters.watch("custody.is_full", lambda: float(clock.monotonic() - self._full_at < _FULL_SECONDS))
        counters.watch("custody.is_failing", lambda: float(clock.monotonic() - self._failed_at < _FULL_SECONDS))
        self._held: dict[Life, RangeSet] = {life: ranges.copy() for life, ranges in spool.unstored().items()}
        self._known_damages = len(spool.damages)
        self._stored: dict[Life, RangeSet] = {}
        self._unsynced: dict[Life, RangeSet] = {}
        self._has_unsynced = asyncio.Event()
        self._room = asyncio.Event()
        for (source, boot), ranges in self._held.items():
            newest = next(spool.find(source, boot, ranges.highest, ranges.highest), b"")
            seen.note(source, boot, Seen(ranges.highest, checksum_at(newest) if newest else 0))

    def known(self, source: bytes, boot: int) -> tuple[Seen, RangeSet]:
        """Return the highest number ever seen of a boot with its record's checksum, and the numbers known stored."""
        return self._seen.highest(source, boot), self._stored.get((source, boot), RangeSet())

    async def take(self, records: bytes) -> None:
        """Append records; waits while the spool is full or its disk refuses. `keep_synced` acknowledges them."""
        if len(self.spool.damages) != self._known_damages:
            self._forget_damaged()
        contents = contents_of(records)
        if any(self._has_some_of(run) for run in contents.runs):
            records = self._without_known(records)
            contents = contents_of(records)
        if records:
            await self._append(records, contents)
            self._remember(contents)
            self.notify()
        if self._unsynced:
            self._has_unsynced.set()

    def _forget_damaged(self) -> None:
        """Hold what the spool holds: what its disk lost is to be taken again, not said to be here already."""
        self._known_damages = len(self.spool.damages)
        self._held = {life: ranges.copy() for life, ranges in self.spool.unstored().items()}

    def _has_some_of(self, run: Run) -> bool:
        source, boot, first, last = run
        for known in (self._stored.get((source, boot)), self._held.get((source, boot))):
            if known is not None and first <= known.highest and known.missing(first, last).count <= last - first:
                return True
        return False

    def _without_known(self, records: bytes) -> bytes:
        """Return the records not held or stored yet; the others are acknowledged once more."""
        fresh: list[bytes] = []
        stored: dict[Life, RangeSet] = {}
        for begin, end, _, source, boot, number in records_of(records):
            life = (source, boot)
            if number in self._stored.get(life, _NOTHING):
                stored.setdefault(life, RangeSet()).add(number, number)
            elif number in self._held.get(life, _NOTHING):
                self._unsynced.setdefault(life, RangeSet()).add(number, number)
            else:
                fresh.append(records[begin:end])
                continue
            self._counters.add("custody.repeated_records")
        if stored:
            self.acknowledge("stored", stored)
        return b"".join(fresh)

    async def _append(self, records: bytes, contents: Contents) -> None:
        was_full = False
        while True:
            self._room.clear()
            try:
                self.spool.append(records, contents)
            except (SpoolFull, SpoolFault) as error:
                if not was_full:
                    _log.warning("Nothing more can be taken; sources keep what they have", error=error)
                    was_full = True
                self._full_at = self._clock.monotonic()
                try:
                    async with asyncio.timeout(_RETRY_SECONDS):
                        await self._room.wait()
                except TimeoutError:
                    continue  # a disk that was full may have room by now
            else:
                if was_full:
                    _log.info("There is room again")
                return

    def _remember(self, contents: Contents) -> None:
        for source, boot, first, last in contents.runs:
            for known in (self._held, self._unsynced):
                ranges = known.get((source, boot))
                if ranges is None:
                    ranges = known[source, boot] = RangeSet()
                ranges.add(first, last)
        for (source, boot), newest in contents.newest.items():
            self._seen.note(source, boot, Seen(*newest))

    async def keep_synced(self) -> NoReturn:
        """Fsync what was taken, all that came meanwhile at once, and then say so; until cancelled."""
        while True:
            await self._has_unsynced.wait()
            self._has_unsynced.clear()
            pending, self._unsynced = self._unsynced, {}
            try:
                await self.spool.sync()
            except SpoolFault as error:
                _log.warning("What was taken cannot be made safe; it is not acknowledged", error=error)
                self._counters.add("custody.failed_syncs")
                self._failed_at = self._clock.monotonic()
                for life, ranges in pending.items():
                    self._unsynced.setdefault(life, RangeSet()).update(ranges)
                self._has_unsynced.set()
                await self._clock.sleep(_RETRY_SECONDS)
                continue
            self._counters.add("custody.syncs")
            self.acknowledge("taken", pending)

    async def keep_seen(self, every_seconds: float = 10.0) -> NoReturn:
        """Write down now and then which numbers were seen; until cancelled."""
        while True:
            await self._clock.sleep(every_seconds)
            self._seen.save()

    def settle(self, kind: AckKind, acks: Acknowledgements) -> None:
        """Note what the server has stored or refused, already marked in the spool, and tell the sources."""
        for (source, boot), ranges in acks.items():
            listed = list(ranges)
            held = self._held.get((source, boot))
            if held is not None:
                for first, last in listed:
                    held.remove(first, last)
                if not held:
                    del self._held[source, boot]
            if kind == "stored":
                stored = self._stored.pop((source, boot), None) or RangeSet()
                stored.update(listed)
                self._stored[source, boot] = stored  # the most recent last
                if len(self._stored) > _STORED_LIVES:
                    del self._stored[next(iter(self._stored))]
            self.acknowledge(kind, {(source, boot): listed})
        self._room.set()

    def close(self) -> None:
        """Write down which numbers were seen and release the spool."""
        self._seen.save()
        self.spool.close()
