"""A TCP proxy on loopback that does harm on command: cuts or holds a connection when certain bytes come by."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_READ_BYTES = 65_536


@dataclass
class Cutter:
    """Forwards to `target`. When `trigger` comes from the client: does `harm`, once, and sets `done`.

    `harm`: "after" forwards the bytes and cuts before the answer; "before" cuts both sides without forwarding; "hold"
    cuts the client only and forwards the bytes when `released` is set.
    """

    target: tuple[str, int]
    trigger: bytes = b""
    harm: str = ""
    port: int = 0
    done: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    forwarded: asyncio.Event = field(default_factory=asyncio.Event)

    def arm(self, trigger: bytes, harm: str) -> None:
        """Do harm at the next occurrence of `trigger`."""
        self.trigger, self.harm = trigger, harm

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self.target)
        answers = asyncio.create_task(_pump(far_reader, writer))
        try:
            while data := await reader.read(_READ_BYTES):
                if self.trigger and self.trigger in data and not self.done.is_set():
                    await self._do_harm(data, answers, writer, far_writer)
                    return
                far_writer.write(data)
                await far_writer.drain()
        except ConnectionError:
            pass  # either side may go at any time; that is what this is for
        finally:
            answers.cancel()
            writer.close()
            far_writer.close()

    async def _do_harm(
        self,
        data: bytes,
        answers: asyncio.Task[None],
        writer: asyncio.StreamWriter,
        far_writer: asyncio.StreamWriter,
    ) -> None:
        answers.cancel()
        self.done.set()
        if self.harm == "after":
            far_writer.write(data)
            await far_writer.drain()
            writer.close()
            await self.released.wait()  # the far side has time to act on what it got
        elif self.harm == "hold":
            writer.close()
            await self.released.wait()
            far_writer.write(data)
            await far_writer.drain()
            self.forwarded.set()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_READ_BYTES):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def cutter(host: str, port: int) -> AsyncIterator[Cutter]:
    """Serve a Cutter on a free loopback port."""
    made = Cutter(target=(host, port))
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            tasks.add(task)
        await made.serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        made.released.set()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
