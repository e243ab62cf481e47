"""Proxy and server of the acknowledgement machine: the real classes with the wire and the database taken away."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from core.model.ranges import RangeSet
from core.model.record import HEADER_BYTES, Kind, iterate
from core.runtime.counters import Counters
from core.spool.spool import Spool, SpoolLimits
from proxy.custody import Custody
from proxy.seen import SeenNumbers
from server.ingest.ended import records_of, refused_numbers, stored_numbers
from server.ingest.translation import translate
from server.intake.dictionaries import Lookup
from server.intake.directory import draw_directory
from server.intake.ledger import Ledger
from server.intake.screening import Arrival, believable, numbers_of, screen
from server.store.peers import Assignment, PeerKey, Source
from tests.support.waiting import until
from tests.unit.server.intake.arrivals import MINE

if TYPE_CHECKING:
    from pathlib import Path

    from core.runtime.clock import ManualClock
    from core.spool.position import Position
    from core.wire.greeter import AckKind
    from core.wire.messages import Acknowledgements

KEYS: Final = (b"p" * 32, b"q" * 32)
PROXY_LIMITS: Final = SpoolLimits(max_bytes=24_000, segment_bytes=3_000)
EVERYTHING_KNOWN: Final = Lookup(1 << 30, np.arange(10, dtype=np.int32))
RETENTION: Final = timedelta(days=30)
Name = tuple[int, int]
"""(boot, number)."""


def names_in(spool: Spool) -> set[Name]:
    return {(boot, n) for (_, boot), ranges in spool.unstored().items() for a, b in ranges for n in range(a, b + 1)}


def names_of(boot: int, ranges: RangeSet) -> set[Name]:
    return {(boot, number) for first, last in ranges for number in range(first, last + 1)}


def let_go(spool: Spool) -> None:
    """What the end of a process does: no fsync, the lock is free, the files are closed."""
    for segment in spool._shelf.segments:
        segment.release()
    if spool._lock is not None:
        spool._lock.release()
        spool._lock = None


def first_value(arrival: Arrival) -> float:
    """The first of a values record's values: its column is the last of three."""
    return float(np.frombuffer(arrival.record, "<f8", 1, HEADER_BYTES + 8 * arrival.header.count)[0])


class Server:
    """Ingest without a database: `rows` are its tables, which change at COMMIT only, with the ledger."""

    def __init__(self, clock: ManualClock) -> None:
        self.ledger = Ledger()
        self.rows: dict[Name, float | None] = {}
        self._clock = clock
        always = datetime(1970, 1, 1, tzinfo=UTC)
        self._directory = draw_directory(
            [Source(id=1, uuid=MINE, name="mine", host_id=1)],
            [
                PeerKey(
                    key=key,
                    role="proxy",
                    name=str(key[:1]),
                    source_id=None,
                    source_uuid=None,
                    group_id=1,
                    revoked_at=None,
                )
                for key in KEYS
            ],
            [Assignment(source_id=1, group_id=1, assigned_at=always, released_at=None)],
        )

    def ingest(self, key: bytes, records: bytes, *, commits: bool) -> dict[AckKind, Acknowledgements]:
        """Take in one group; return what it acknowledges. Rolled back: as if it had never come."""
        now = self._clock.now_us()
        view = memoryview(records)
        arrivals = [Arrival(key, header, view[at : at + header.record_bytes]) for at, header in iterate(view)]
        screened = screen(arrivals, self.ledger, self._directory, believable(now, RETENTION))
        others = [each for each in screened.admitted if each.arrival.header.kind is not Kind.DICTIONARY]
        said = translate(others, lambda _life: EVERYTHING_KNOWN)
        assert not said.waiting
        assert not said.poison
        stored = [each for each in screened.admitted if each not in others] + said.stored
        deltas = [
            *stored_numbers(records_of(stored, now), (), now),
            *refused_numbers([], screened.refused),
            *said.announced,
        ]
        if not commits:
            return {}
        for admitted in stored:
            header = admitted.arrival.header
            name = (header.boot, header.number)
            assert name not in self.rows, f"{name} is stored twice"
            self.rows[name] = first_value(admitted.arrival) if header.kind is Kind.VALUES else None
        self.ledger.commit(deltas)
        return {
            "stored": numbers_of([*screened.duplicates, *(each.arrival for each in [*screened.repeated, *stored])]),
            "refused": numbers_of([refusal.arrival for refusal in screened.refused]),
        }

    def ended(self, name: Name) -> bool:
        account = self.ledger.account((1, name[0]))
        return name[1] in account.stored or name[1] in account.refused


class Proxy:
    """Custody over a spool, what it still has to say to the agent, and how far it has forwarded."""

    def __init__(self, folder: Path, clock: ManualClock) -> None:
        self.folder = folder
        self._clock = clock
        self._durable_bytes: dict[str, int] = {}
        self.open()

    def open(self) -> None:
        self.counters = Counters()
        self.spool = Spool.open(self.folder, PROXY_LIMITS, self._clock.monotonic)
        self.custody = Custody(
            spool=self.spool,
            seen=SeenNumbers(self.folder / "seen.msgpack"),
            clock=self._clock,
            counters=self.counters,
        )
        self.said: list[tuple[AckKind, Acknowledgements]] = []
        self.promised: set[Name] = set()
        self.custody.acknowledge = self.say
        self.cursor: Position = self.spool.begin

    def say(self, kind: AckKind, acks: Acknowledgements) -> None:
        self.said.append((kind, acks))
        if kind == "taken":
            self.promised |= {name for (_, boot), ranges in acks.items() for name in names_of(boot, RangeSet(ranges))}

    def end(self, *, is_power_cut: bool = False) -> None:
        let_go(self.spool)
        if is_power_cut:
            for path in self.folder.glob("*.segment"):
                durable = self._durable_bytes.get(path.name, 0)
                if durable:
                    with path.open("r+b") as file:
                        file.truncate(min(durable, path.stat().st_size))
                else:
                    path.unlink()

    async def sync(self) -> None:
        """Let what was taken become durable and be said, once."""
        if not self.custody._unsynced:
            return
        before = self.counters.get("custody.syncs")
        task = asyncio.create_task(self.custody.keep_synced())
        await until(lambda: self.counters.get("custody.syncs") > before, 30, "an fsync")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        self._durable_bytes = {path.name: path.stat().st_size for path in self.folder.glob("*.segment")}

    def settle(self, acks: dict[AckKind, Acknowledgements]) -> None:
        """What the session upwards and the forwarder do with an acknowledgement."""
        for kind, each in acks.items():
            for (source, boot), ranges in each.items():
                self.spool.mark_stored(source, boot, ranges)
            if each:
                self.custody.settle(kind, each)
