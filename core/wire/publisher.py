"""The source's end of a link: sends what the spool holds, and forgets nothing that was not stored."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NoReturn

import zmq.asyncio

from core.runtime.logging import Log
from core.wire.ending import SessionOver
from core.wire.epoch import EpochMemory
from core.wire.failover import Ending, Failover
from core.wire.probing import probe
from core.wire.session import Session
from core.wire.timings import LinkTimings
from core.wire.upstream import LinkState, Upstream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from core.runtime.clock import Clock
    from core.runtime.counters import Counters
    from core.security.keys import KeyPair
    from core.spool.spool import Spool
    from core.wire.greeter import Greeter
    from core.wire.messages import CollectorHeartbeat, SourceMessage

__all__ = ["LinkState", "Publisher", "Upstream"]

_log = Log("link")


class Publisher:
    """Keeps one link to the best upstream there is and sends the spool's records over it.

    `keys` may be asked anew for each session, when they change in a life.
    """

    def __init__(  # noqa: PLR0913 - what a daemon hands down, all by name
        self,
        *,
        spool: Spool,
        keys: KeyPair | Callable[[], KeyPair],
        upstreams: Sequence[Upstream],
        greeter: Greeter,
        clock: Clock,
        counters: Counters,
        timings: LinkTimings | None = None,
    ) -> None:
        self._spool = spool
        self._keys: Callable[[], KeyPair] = keys if callable(keys) else lambda: keys
        self._renewal = asyncio.Event()
        self._reordering = asyncio.Event()
        self._upstreams = tuple(upstreams)
        self._greeter = greeter
        self._clock = clock
        self._counters = counters
        self._timings = timings or LinkTimings()
        self._failover = Failover([upstream.endpoint for upstream in self._upstreams], self._timings)
        self._epochs = EpochMemory(greeter.hello().epoch, greeter.epoch_seen)
        self._session: Session | None = None
        self._since = clock.now_us()
        self._trouble = "not connected yet"
        counters.watch("link.in_flight_bytes", lambda: self.state.in_flight_bytes)
        counters.watch("link.is_up", lambda: int(self.state.upstream is not None))

    async def run(self) -> NoReturn:
        """Connect, say hello, stream, take acknowledgements, fail over; until cancelled, then say goodbye."""
        context = zmq.asyncio.Context()
        try:
            while True:
                ending = await self._run_session(context, self._upstreams[self._failover.place])
                await self._clock.sleep(self._failover.ended(ending))
        finally:
            self._session = None
            # Waits for the goodbye at most linger_seconds: every socket has that linger or none.
            context.destroy()

    def notify(self) -> None:
        """Tell that something was appended to the spool."""
        if self._session is not None and self._session.stream is not None:
            self._session.stream.notify()

    def begin_anew(self) -> None:
        """End the present session and begin another, with the same upstream and the keys of now."""
        self._renewal.set()

    def prefer(self, upstreams: Sequence[Upstream]) -> None:
        """Follow another order of the same upstreams from now on.

        The first of them is looked at at once, and gone to when it is well: who ordered so has found it steady. Raises
        ValueError when they are not the same ones.
        """
        if sorted(upstreams, key=_identity) != sorted(self._upstreams, key=_identity):
            raise ValueError("an order names each upstream once and no other")
        if tuple(upstreams) == self._upstreams:
            return
        self._failover.reorder([upstream.endpoint for upstream in upstreams])
        self._upstreams = tuple(upstreams)
        self._reordering.set()

    async def send(self, message: SourceMessage) -> None:
        """Send a control message to the present upstream; dropped when there is none."""
        if self._session is not None and self._session.is_welcome:
            self._session.put(message)

    @property
    def state(self) -> LinkState:
        """How the link is now."""
        session = self._session
        if session is None or not session.is_welcome:
            return LinkState(
                upstream=None, since=self._since, session=0, in_flight_bytes=0, window=0, trouble=self._trouble
            )
        flight = session.stream.flight if session.stream is not None else None
        return LinkState(
            upstream=session.upstream,
            since=self._since,
            session=session.number,
            in_flight_bytes=flight.in_flight_bytes if flight else 0,
            window=flight.window if flight else 0,
            trouble="",
        )

    async def _run_session(self, context: zmq.asyncio.Context, upstream: Upstream) -> Ending:
        keys = self._keys()
        self._renewal.clear()
        session = Session(
            context=context,
            upstream=upstream,
            keys=keys,
            spool=self._spool,
            greeter=self._greeter,
            epochs=self._epochs,
            clock=self._clock,
            counters=self._counters,
            timings=self._timings,
            on_welcome=self._note_welcome,
        )
        self._session = session
        self._counters.add("link.sessions")
        # No TaskGroup: in Python 3.11 one forgets that it was cancelled when a task of it fails at that very moment.
        tasks = [
            asyncio.create_task(session.run(), name="session"),
            asyncio.create_task(self._look_at_others(context, session, keys), name="other upstreams"),
            asyncio.create_task(self._await_renewal(), name="renewal"),
            asyncio.create_task(self._follow_order(context, session, keys), name="order of upstreams"),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            if session.is_welcome:
                self._since = self._clock.now_us()
            self._session = None
        ending = _ending_of(results)
        if session.is_welcome or ending.trouble != self._trouble:
            _log.warning("The link is down", upstream=upstream.endpoint, reason=ending.trouble)
        self._trouble = ending.trouble
        return ending

    def _note_welcome(self) -> None:
        self._since = self._clock.now_us()
        assert self._session is not None  # noqa: S101 - only a running session calls this
        _log.info("The link is up", upstream=self._session.upstream.endpoint)

    async def _await_renewal(self) -> NoReturn:
        await self._renewal.wait()
        raise SessionOver(Ending(trouble="the keys change", was_welcomed=True, stay=True))

    async def _follow_order(self, context: zmq.asyncio.Context, session: Session, keys: KeyPair) -> NoReturn:
        """End the session when another upstream was put first and is well; else the regular looks bring us there."""
        while True:
            await self._reordering.wait()
            self._reordering.clear()
            first = self._upstreams[0]
            if first == session.upstream or not session.is_welcome:
                continue
            answer = await probe(context, keys, first, self._timings.welcome_seconds)
            if answer is not None and self._is_well(answer) and first == self._upstreams[0]:
                raise _go_to(first, "another upstream is preferred now")

    def _is_well(self, answer: CollectorHeartbeat) -> bool:
        return answer.is_active and not (answer.role == "server" and self._epochs.is_stale(answer.epoch))

    def _has_taken_over(self, answer: CollectorHeartbeat | None) -> bool:
        return answer is not None and answer.role == "server" and answer.epoch > self._epochs.highest

    async def _look_at_others(self, context: zmq.asyncio.Context, session: Session, keys: KeyPair) -> None:
        """End the session when an upstream higher on the list has been steady for some looks.

        Or when any of them is the server that took over from ours: cut off from its database, the old one lives on,
        takes nothing and does not know that it was replaced.
        """
        steady_looks = dict.fromkeys(self._upstreams, 0)
        while len(self._upstreams) > 1:
            await self._clock.sleep(self._timings.probe_seconds)
            place = self._upstreams.index(session.upstream)
            preferred, others = self._upstreams[:place], self._upstreams[place + 1 :]
            for other in (*preferred, *others) if session.is_with_server else preferred:
                answer = await probe(context, keys, other, self._timings.welcome_seconds)
                is_well = answer is not None and self._is_well(answer)
                if is_well and session.is_with_server and self._has_taken_over(answer):
                    raise _go_to(other, "another server has taken over")
                steady_looks[other] = steady_looks[other] + 1 if is_well else 0
                is_steady = steady_looks[other] >= self._timings.probes_until_steady
                if other in preferred and is_steady and session.is_welcome:
                    raise _go_to(other, "a preferred upstream is back")


def _identity(upstream: Upstream) -> tuple[str, bytes]:
    return (upstream.endpoint, upstream.key)


def _go_to(upstream: Upstream, trouble: str) -> SessionOver:
    return SessionOver(Ending(trouble=trouble, was_welcomed=True, go_to=(upstream.endpoint,)))


def _ending_of(results: Sequence[object]) -> Ending:
    """Return how the session ended; when several tasks noticed at once, the first has the reason. Raises bugs."""
    endings: list[Ending] = []
    for result in results:
        found = result
        if isinstance(found, BaseExceptionGroup):
            over, others = found.split(SessionOver)
            if others is not None:
                raise others
            found = over
        while isinstance(found, BaseExceptionGroup):
            found = found.exceptions[0]
        if isinstance(found, SessionOver):
            endings.append(found.ending)
        elif isinstance(found, BaseException) and not isinstance(found, asyncio.CancelledError):
            raise found
    return endings[0]
