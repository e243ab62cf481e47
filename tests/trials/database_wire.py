"""A TCP proxy between a server and PostgreSQL that knows when an ingest transaction copies and commits.

It forwards everything, until it is given an aim: then, once, at the moment aimed at, it strikes.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_READ_BYTES: Final = 1 << 16
_COPY: Final = b"COPY history_batch"
_COMMIT: Final = b"Q\0\0\0\x0bCOMMIT\0"
# The driver prepares what it executes often, COMMIT too; then only the statement's name passes.
_PREPARES_COMMIT: Final = re.compile(rb"P....(_pg3_[0-9a-f]+)\0COMMIT\0", re.DOTALL)
_COMMITTED: Final = b"C\0\0\0\x0bCOMMIT\0"
_ROLLED_BACK: Final = b"C\0\0\0\x0dROLLBACK\0"
_KEY_DATA: Final = b"K\0\0\0\x0c"

Moment = Literal["copy", "before commit", "under commit", "answer held", "answer passed"]
"""Where to strike.

`copy`: COPY has begun and its data are held back until the connection ends. `before commit`: COMMIT is held back, and
dropped after the strike. `under commit`: forwarded this instant. `answer held`: the database has committed and its
answer is held back, and dropped after the strike. `answer passed`: the server has just been told.
"""


@dataclass(eq=False)
class Passage:
    """One connection of the server to the database; `backend` is the process id of its PostgreSQL backend."""

    backend: int = 0
    is_ingest: bool = False
    commit_name: bytes = b""
    aim: Aim | None = None
    striking: asyncio.Task[None] | None = None
    writers: tuple[asyncio.StreamWriter, ...] = ()

    def cut(self) -> None:
        """Break the connection on both sides at once."""
        for writer in self.writers:
            writer.transport.abort()

    def is_commit(self, data: bytes) -> bool:
        """Tell whether the client's bytes hold a COMMIT, as text or by the name of its prepared statement."""
        if (prepared := _PREPARES_COMMIT.search(data)) is not None:
            self.commit_name = prepared[1]
        if _COMMIT in data:
            return True
        return (
            bool(self.commit_name) and re.search(rb"B....\0" + self.commit_name + rb"\0", data, re.DOTALL) is not None
        )


@dataclass(frozen=True, eq=False)
class Aim:
    """What to do at which moment; `struck` is done afterwards."""

    moment: Moment
    strike: Callable[[Passage], Awaitable[None]]
    struck: asyncio.Future[Passage]

    async def fire(self, passage: Passage) -> None:
        """Strike in a task of its own: what is struck ends the connection, and with it whoever waits here."""
        passage.striking = asyncio.create_task(self._carry_out(passage))
        await asyncio.shield(passage.striking)

    async def _carry_out(self, passage: Passage) -> None:
        try:
            await self.strike(passage)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - handed to whoever awaits `struck`
            if not self.struck.done():
                self.struck.set_exception(error)
        else:
            if not self.struck.done():
                self.struck.set_result(passage)


@dataclass(eq=False)
class DatabaseWire:
    """Forwards loopback port `port` to the database's `target_port`. `commits` counts ingest's answered COMMITs."""

    port: int
    target_port: int
    commits: int = 0
    _aim: Aim | None = None
    _listener: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def open(self) -> None:
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def close(self) -> None:
        """Cut every connection and listen no more. Idempotent; may be opened again."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.gather(*list(self._tasks), return_exceptions=True)

    def aim(self, moment: Moment, strike: Callable[[Passage], Awaitable[None]]) -> asyncio.Future[Passage]:
        """Call `strike` once at the next such moment of an ingest transaction; the future is done when it has.

        The connection is cut afterwards, except after "under commit" and "answer passed" (forwarding goes on) and
        "copy" (nothing passes until either end goes).
        """
        struck: asyncio.Future[Passage] = asyncio.get_running_loop().create_future()
        self._aim = Aim(moment, strike, struck)
        return struck

    def disarm(self) -> None:
        self._aim = None

    def _take_aim(self, *moments: Moment) -> Aim | None:
        aim = self._aim
        if aim is None or aim.moment not in moments:
            return None
        self._aim = None
        return aim

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        writers = [writer]
        self._writers.add(writer)
        pumps: list[asyncio.Task[None]] = []
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
            writers.append(far_writer)
            passage = Passage(writers=(writer, far_writer))
            pumps = [
                asyncio.create_task(self._to_database(passage, reader, far_writer)),
                asyncio.create_task(self._to_server(passage, far_reader, writer)),
            ]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        except OSError:
            pass  # the database is down: the server sees its connection end
        finally:
            for pump in pumps:
                pump.cancel()
            self._writers.discard(writer)
            for each in writers:
                each.close()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _to_database(self, passage: Passage, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(_READ_BYTES):
                aim = None
                if _COPY in data:
                    passage.is_ingest = True
                    aim = self._take_aim("copy")
                is_commit = passage.is_commit(data)  # asked always: any transaction may prepare the statement
                if passage.is_ingest and is_commit:
                    aim = self._take_aim("before commit", "under commit", "answer held", "answer passed")
                    passage.aim = aim
                if aim is not None and aim.moment == "before commit":
                    await aim.fire(passage)
                    return
                writer.write(data)
                await writer.drain()
                if aim is not None and aim.moment == "under commit":
                    await aim.fire(passage)
                if aim is not None and aim.moment == "copy":
                    await aim.fire(passage)
                    await asyncio.Event().wait()

    async def _to_server(self, passage: Passage, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(_READ_BYTES):
                if not passage.backend and (place := data.find(_KEY_DATA)) >= 0:
                    passage.backend = int.from_bytes(data[place + 5 : place + 9], "big")
                aim = None
                if passage.is_ingest and (_COMMITTED in data or _ROLLED_BACK in data):
                    self.commits += _COMMITTED in data
                    aim, passage.aim, passage.is_ingest = passage.aim, None, False
                if aim is not None and aim.moment == "answer held":
                    await aim.fire(passage)
                    return
                writer.write(data)
                await writer.drain()
                if aim is not None and aim.moment == "answer passed":
                    await aim.fire(passage)
