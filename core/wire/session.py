"""One session of a source with one collector: from connecting until something ends it."""

from __future__ import annotations

import asyncio
import math
import os
from typing import TYPE_CHECKING, NoReturn

import zmq
import zmq.asyncio

from core.runtime.logging import Log
from core.spool.faults import SpoolFault
from core.spool.lineage import Seen, has_another_past
from core.wire import messages as m
from core.wire.codec import MessageError, decode_from_collector, encode
from core.wire.ending import SessionOver
from core.wire.failover import Ending
from core.wire.limits import PROTOCOL
from core.wire.sockets import HANDSHAKE_FAILURES, LOSSES, open_dealer, open_publishing, read_event, send_now
from core.wire.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.runtime.clock import Clock
    from core.runtime.counters import Counters
    from core.security.keys import KeyPair
    from core.spool.spool import Spool
    from core.wire.epoch import EpochMemory
    from core.wire.greeter import AckKind, Greeter
    from core.wire.timings import LinkTimings
    from core.wire.upstream import Upstream

_log = Log("link")


class Session:
    """Runs once. `stream` is None until the collector has welcomed us and subscribed."""

    def __init__(  # noqa: PLR0913 - what a publisher hands down, all by name
        self,
        *,
        context: zmq.asyncio.Context,
        upstream: Upstream,
        keys: KeyPair,
        spool: Spool,
        greeter: Greeter,
        epochs: EpochMemory,
        clock: Clock,
        counters: Counters,
        timings: LinkTimings,
        on_welcome: Callable[[], None],
    ) -> None:
        self.number = int.from_bytes(os.urandom(8), "little")  # not `secrets`: it loads OpenSSL, 3 MiB an agent
        self.upstream = upstream
        self.stream: Stream | None = None
        self._context = context
        self._keys = keys
        self._spool = spool
        self._greeter = greeter
        self._epochs = epochs
        self._clock = clock
        self._counters = counters
        self._timings = timings
        self._on_welcome = on_welcome
        self._source: bytes | None = None
        self._welcome: asyncio.Future[m.Welcome] = asyncio.get_running_loop().create_future()
        self._heard_at = clock.monotonic()
        self._control = open_dealer(context, keys, upstream.key)
        self._data = open_publishing(context, keys, upstream.key)

    @property
    def is_welcome(self) -> bool:
        """Whether the collector has welcomed us."""
        return self._welcome.done()

    @property
    def is_with_server(self) -> bool:
        """Whether a server has welcomed us, no proxy."""
        return self.is_welcome and self._welcome.result().role == "server"

    async def run(self) -> NoReturn:
        """Say hello and stream until the link breaks. Raises SessionOver; closes its sockets however it ends."""
        monitor = self._control.get_monitor_socket(LOSSES)
        try:
            self._control.connect(self.upstream.endpoint)
            self.put(self._hello())
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._watch(monitor), name="link losses")
                tasks.create_task(self._listen(), name="link control")
                tasks.create_task(self._converse(tasks), name="link conversation")
        except zmq.ZMQError as error:
            raise SessionOver(Ending(trouble=f"cannot connect to {self.upstream.endpoint}: {error}")) from error
        finally:
            if self.is_welcome:
                self.put(m.Goodbye(session=self.number))
            self._control.disable_monitor()
            monitor.close(linger=0)
            self._control.close(linger=round(self._timings.linger_seconds * 1000))
            self._data.close(linger=0)
        raise AssertionError("a session ends by an exception")

    def put(self, message: m.SourceMessage) -> None:
        """Queue a control message; one that finds the pipe full or is too large is dropped and counted."""
        try:
            send_now(self._control, [encode(message)])
        except (zmq.ZMQError, MessageError) as error:
            self._counters.add("link.dropped_messages")
            _log.warning("A message could not be sent", upstream=self.upstream.endpoint, error=error)

    def _hello(self) -> m.Hello:
        facts = self._greeter.hello()
        self._source = facts.source
        return m.Hello(
            protocol=PROTOCOL,
            role=facts.role,
            name=facts.name,
            source=facts.source,
            session=self.number,
            boots=facts.boots,
            configuration=facts.configuration,
            epoch=self._epochs.highest,
            software=facts.software,
        )

    def _over(self, trouble: str, *, stay: bool = False, retry_seconds: float = 0.0) -> SessionOver:
        return SessionOver(
            Ending(trouble=trouble, was_welcomed=self.is_welcome, stay=stay, retry_seconds=retry_seconds)
        )

    async def _watch(self, monitor: zmq.asyncio.Socket) -> NoReturn:
        event, _ = read_event(await monitor.recv_multipart())
        if event & HANDSHAKE_FAILURES:
            self._counters.add("link.handshakes_failed")
            raise self._over(
                "it does not accept our key, or its own key is not the one configured;"
                " enrol this part there and compare the upstream's key"
            )
        raise self._over("the connection was lost" if self.is_welcome else "nobody answers at this endpoint")

    async def _converse(self, tasks: asyncio.TaskGroup) -> None:
        try:
            async with asyncio.timeout(self._timings.welcome_seconds):
                welcome = await asyncio.shield(self._welcome)
        except TimeoutError as error:
            raise self._over(f"no welcome within {self._timings.welcome_seconds} s") from error
        tasks.create_task(self._beat(), name="link heartbeat")
        self._data.connect(self.upstream.data_endpoint(welcome.data_port))
        try:
            async with asyncio.timeout(self._timings.welcome_seconds):
                subscription = await self._data.recv()
        except TimeoutError as error:
            raise self._over("its data plane does not answer") from error
        if subscription != b"\x01":
            raise self._over("it subscribes to something else than everything")
        self.stream = Stream(
            spool=self._spool,
            socket=self._data,
            session=self.number,
            window=welcome.window,
            clock=self._clock,
            counters=self._counters,
            timings=self._timings,
        )
        tasks.create_task(self._watch_subscription(), name="link subscription")
        try:
            await self.stream.run()
        except SpoolFault as error:
            raise self._over(f"the spool cannot be read: {error}", stay=True) from error

    async def _watch_subscription(self) -> NoReturn:
        while await self._data.recv() != b"\x00":
            pass
        raise self._over("the data connection was lost")

    async def _beat(self) -> NoReturn:
        while True:
            silent_seconds = self._clock.monotonic() - self._heard_at
            if silent_seconds > self._timings.dead_seconds:
                raise self._over(f"nothing was heard from it for {silent_seconds:.1f} s")
            try:
                facts = self._greeter.heartbeat()
            except SpoolFault as error:
                raise self._over(f"the spool cannot be read: {error}", stay=True) from error
            self.put(
                m.SourceHeartbeat(
                    session=self.number,
                    frame=self.stream.flight.last_frame if self.stream else 0,
                    boot=facts.boot,
                    number=facts.number,
                    clock=self._clock.now_us(),
                    held_records=facts.held_records,
                    held_bytes=facts.held_bytes,
                    oldest_at=self._waiting_since(facts.oldest_at),
                    epoch=self._epochs.highest,
                )
            )
            await self._clock.sleep(self._timings.heartbeat_seconds)

    def _waiting_since(self, oldest_at: int) -> int:
        """Return the instant of the oldest record held, but none from before everything had been sent.

        What was sent is only under way, however old its source's clock makes it look.
        """
        behind_seconds = math.inf if self.stream is None else self.stream.behind_seconds
        if not oldest_at or math.isinf(behind_seconds):
            return oldest_at
        return max(oldest_at, self._clock.now_us() - round(behind_seconds * 1_000_000))

    async def _listen(self) -> NoReturn:
        while True:
            parts = await self._control.recv_multipart()
            self._heard_at = self._clock.monotonic()
            try:
                message = decode_from_collector(parts[0] if len(parts) == 1 else b"")
            except MessageError as error:
                self._counters.add("link.malformed_messages")
                _log.warning("A message was refused", upstream=self.upstream.endpoint, error=error)
                continue
            if not self.is_welcome:
                self._answer(message)
            else:
                await self._obey(message)

    def _answer(self, message: m.CollectorMessage) -> None:
        """Handle what may come before the welcome; anything else is left over from a former session."""
        if isinstance(message, m.Welcome) and message.session == self.number:
            if message.role == "server" and self._epochs.is_stale(message.epoch):
                self._counters.add("link.stale_epochs")
                raise self._over(f"its epoch {message.epoch} is over; the highest seen is {self._epochs.highest}")
            self._epochs.see(message.epoch)
            try:
                self._mark_known_stored(message)
                self._greeter.welcomed(message)
            except SpoolFault as error:
                raise self._over(f"the spool cannot be settled: {error}", stay=True) from error
            self._welcome.set_result(message)
            self._on_welcome()
        else:
            self._be_sent_away(message)

    def _mark_known_stored(self, welcome: m.Welcome) -> None:
        """Forget what the collector has stored of our boots, but nothing of a present boot that was rolled back.

        There the numbers issued since name other records than those that were stored under them.
        """
        if self._source is None:
            return
        seen = {boot: Seen(number, checksum) for boot, number, checksum in welcome.seen}
        rolled_back = {
            boot
            for boot, _, last in self._greeter.hello().boots[-1:]
            if has_another_past(self._spool, self._source, boot, last, seen.get(boot))
        }
        for boot, stored in welcome.stored:
            if boot not in rolled_back:
                self._spool.mark_stored(self._source, boot, stored)

    def _be_sent_away(self, message: m.CollectorMessage) -> None:
        if isinstance(message, m.Redirect):
            self._counters.add("link.redirects")
            trouble = message.reason or "it sends its sources elsewhere"
            raise SessionOver(Ending(trouble=trouble, was_welcomed=self.is_welcome, go_to=message.endpoints))
        if isinstance(message, m.Refusal):
            self._counters.add(f"link.refused_as_{message.reason}")
            raise self._over(
                f"refused ({message.reason}): {message.message}",
                stay=message.reason == "session",
                retry_seconds=message.retry_seconds,
            )

    async def _obey(self, message: m.CollectorMessage) -> None:
        match message:
            case m.Receipt() if message.session == self.number and self.stream is not None:
                self.stream.receipt(message.frame, message.window)
            case m.Again() if message.session == self.number and self.stream is not None:
                self.stream.again(message.frame)
            case m.Stored():
                self._acknowledge("stored", message.acks)
            case m.Taken():
                self._acknowledge("taken", message.acks)
            case m.Refused():
                self._counters.add(
                    "link.refused_records", sum(b - a + 1 for ack in message.acks for a, b in ack.ranges)
                )
                _log.warning("Records were refused for ever", upstream=self.upstream.endpoint, reason=message.reason)
                self._acknowledge("refused", message.acks)
            case m.CollectorHeartbeat():
                self._judge_standing(message)
            case m.Configuration():
                await self._configure(message)
            case _:
                self._be_sent_away(message)

    def _acknowledge(self, kind: AckKind, acks: tuple[m.Ack, ...]) -> None:
        for ack in acks:
            if kind == "taken":
                self._spool.mark_taken(ack.source, ack.boot, ack.ranges)
            else:
                self._spool.mark_stored(ack.source, ack.boot, ack.ranges)
        self._greeter.acknowledged(kind, {(ack.source, ack.boot): ack.ranges for ack in acks})

    def _judge_standing(self, message: m.CollectorHeartbeat) -> None:
        if message.role == "server" and self._epochs.is_stale(message.epoch):
            self._counters.add("link.stale_epochs")
            raise self._over(f"its epoch {message.epoch} is over; the highest seen is {self._epochs.highest}")
        self._epochs.see(message.epoch)
        if message.role == "server" and not message.is_active:
            raise self._over("it is not the active server any more")

    async def _configure(self, message: m.Configuration) -> None:
        if self._epochs.is_stale(message.epoch):
            self._counters.add("link.stale_commands")
            _log.warning(
                "A command of an epoch that is over was refused",
                upstream=self.upstream.endpoint,
                epoch=message.epoch,
                highest=self._epochs.highest,
            )
            return
        self._epochs.see(message.epoch)
        await self._greeter.configured(message)
