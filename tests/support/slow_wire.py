"""A TCP proxy that lets through only so many bytes a second towards its target, until it is told to let all through."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

_STEP_SECONDS: Final = 0.1
_READ_BYTES: Final = 65_536


@dataclass
class SlowWire:
    """`bytes_per_second` towards the target, per connection; None: as fast as it goes. Answers are never held."""

    host: str
    bytes_per_second: int | None = None
    passed_bytes: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what comes, at the pace of now."""
        try:
            while data := await reader.read(_READ_BYTES if self.bytes_per_second is None else self._step_bytes):
                writer.write(data)
                await writer.drain()
                self.passed_bytes += len(data)
                if self.bytes_per_second is not None:
                    await asyncio.sleep(len(data) / self.bytes_per_second)
        except ConnectionError:
            pass
        finally:
            writer.close()

    @property
    def _step_bytes(self) -> int:
        return max(1, round((self.bytes_per_second or 0) * _STEP_SECONDS))


@asynccontextmanager
async def slow_wire(host: str, target: str, ports: list[int]) -> AsyncIterator[SlowWire]:
    """Listen on these ports of `host`, a loopback address, and forward each to the same port of `target`."""
    wire = SlowWire(host)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(target, port, limit=_READ_BYTES)
        except ConnectionError:
            writer.close()
            return
        back = asyncio.create_task(_pass_back(far_reader, writer))
        try:
            await wire.forward(reader, far_writer)
        finally:
            back.cancel()

    def accept(port: int) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(serve(reader, writer, port))
            wire.tasks.add(task)
            task.add_done_callback(wire.tasks.discard)

        return begin

    servers = [await asyncio.start_server(accept(port), host, port, limit=4096) for port in ports]
    try:
        yield wire
    finally:
        for server in servers:
            server.close()
        for task in list(wire.tasks):
            task.cancel()
        await asyncio.gather(*wire.tasks, return_exceptions=True)


async def _pass_back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_READ_BYTES):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()
