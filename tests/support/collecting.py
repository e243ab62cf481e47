"""A collector that lets one agent in and keeps what it sends: the far end for whoever drives a real agent."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from core.model.record import HEADER_BYTES, Kind, iterate, unpack_rows
from core.runtime.clock import SystemClock
from core.runtime.counters import Counters
from core.security.authority import KeyRing, Peer
from core.wire.collector import Collector
from core.wire.curve import make_keys
from core.wire.messages import Configuration, Configured, Goodbye, Hello, Welcome

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from uuid import UUID

    from core.security.keys import KeyPair
    from core.wire.messages import SourceMessage
    from core.wire.timings import LinkTimings


class Desk:
    """A Receiver that stores everything in memory, sends `document` after the welcome, and notes what it hears."""

    def __init__(self, *, epoch: int = 1) -> None:
        self.epoch = epoch
        self.version = 0
        self.document: dict[str, Any] | None = None
        self.hellos: list[Hello] = []
        self.answers: list[Configured] = []
        self.goodbyes: list[Goodbye] = []
        self.records: dict[tuple[int, int], bytes] = {}
        self.collector: Collector | None = None

    async def greet(self, _peer: Peer, hello: Hello) -> Welcome:
        """Let everybody in who has a key."""
        self.hellos.append(hello)
        return Welcome(role="server", epoch=self.epoch)

    async def receive(self, peer: Peer, records: bytes) -> None:
        """Keep the records, acknowledge them as stored."""
        assert self.collector is not None
        acks: dict[tuple[bytes, int], list[tuple[int, int]]] = {}
        for offset, header in iterate(records):
            self.records[header.boot, header.number] = records[offset : offset + header.record_bytes]
            acks.setdefault((header.source, header.boot), []).append((header.number, header.number))
        self.collector.acknowledge("stored", acks, peer.key)

    async def heard(self, peer: Peer, message: SourceMessage) -> None:
        """Answer a hello with the document, if there is one."""
        if isinstance(message, Hello) and self.document is not None:
            await self.configure(peer.key, self.document)
        elif isinstance(message, Configured):
            self.answers.append(message)
        elif isinstance(message, Goodbye):
            self.goodbyes.append(message)

    async def configure(self, key: bytes, document: dict[str, Any], *, epoch: int | None = None) -> bool:
        """Send a document under the next version."""
        assert self.collector is not None
        self.version += 1
        body = {"version": self.version, **document}
        message = Configuration(epoch=self.epoch if epoch is None else epoch, version=self.version, body=body)
        return await self.collector.send(key, message)

    def kinds(self) -> list[Kind]:
        """Return the kind of each record received, by boot and number."""
        return [header.kind for _, header in self._read()]

    def items(self) -> dict[str, int]:
        """Return how many values came of each item, by key."""
        names: dict[tuple[int, int], str] = {}
        counts: dict[str, int] = {}
        for record, header in self._read():
            if header.kind == Kind.DICTIONARY:
                names |= {(header.boot, row[0]): row[1] for row in unpack_rows(record, header)}
            elif header.kind == Kind.VALUES:
                numbers = memoryview(record)[HEADER_BYTES : HEADER_BYTES + 4 * header.count].cast("I")
                for number in numbers:
                    key = names[header.boot, number]
                    counts[key] = counts.get(key, 0) + 1
            elif header.kind == Kind.TEXTS:
                for row in unpack_rows(record, header):
                    key = names[header.boot, row[0]]
                    counts[key] = counts.get(key, 0) + 1
        return counts

    def values(self, wanted: str) -> list[float]:
        """Return the numbers that came of the item `wanted`."""
        names: dict[tuple[int, int], str] = {}
        found: list[float] = []
        for record, header in self._read():
            if header.kind == Kind.DICTIONARY:
                names |= {(header.boot, row[0]): row[1] for row in unpack_rows(record, header)}
            elif header.kind == Kind.VALUES:
                body = memoryview(record)[HEADER_BYTES:]
                numbers, values = body[: 4 * header.count].cast("I"), body[8 * header.count :].cast("d")
                found += [v for n, v in zip(numbers, values, strict=True) if names[header.boot, n] == wanted]
        return found

    def texts(self, wanted: str) -> list[str]:
        """Return the texts that came of the item `wanted`."""
        names: dict[int, str] = {}
        found: list[str] = []
        for record, header in self._read():
            if header.kind == Kind.DICTIONARY:
                names |= {row[0]: row[1] for row in unpack_rows(record, header)}
            elif header.kind == Kind.TEXTS:
                found += [row[2] for row in unpack_rows(record, header) if names[row[0]] == wanted]
        return found

    def _read(self) -> list[tuple[bytes, Any]]:
        return [(record, next(iterate(record))[1]) for _, record in sorted(self.records.items())]


@asynccontextmanager
async def collecting(
    desk: Desk, *, source: UUID, agent: KeyPair, timings: LinkTimings | None = None
) -> AsyncIterator[tuple[Collector, KeyPair]]:
    """Serve on loopback for the agent with this key and source; yields the collector and its keys."""
    keys = make_keys()
    ring = KeyRing([Peer(key=agent.public, role="agent", name="test", source=source.bytes)])
    collector = Collector(
        keys=keys, authority=ring, bind_host="127.0.0.1", control_port=0, data_port=0, clock=SystemClock(),
        receiver=desk, counters=Counters(), timings=timings,
    )  # fmt: skip
    desk.collector = collector
    serving = asyncio.create_task(collector.run())
    try:
        ready = asyncio.create_task(collector.ready.wait())
        await asyncio.wait([ready, serving], timeout=10, return_when=asyncio.FIRST_COMPLETED)
        assert ready.done(), "the collector did not start"
        collector.stand(role="server", epoch=desk.epoch, is_active=True)
        yield collector, keys
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
