"""Runs one probe so that whatever it does hurts no other: it may raise, hang, or answer in part."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from core.runtime.logging import Log
from probes.declaration import Afterwards, Failure, ProbeFailedError, SilentError

if TYPE_CHECKING:
    from collections.abc import Callable

    from probes.declaration import Found, Probe, Reading
    from probes.visit import Visit

log = Log("probe")

LOOK_SECONDS: Final = 0.25


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a run has found so far. A thread that hangs keeps its own, so that it cannot change what was published.

    `is_silent`: what was asked did not answer at all.
    """

    readings: list[Reading] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    is_silent: bool = False
    afterwards: list[Callable[[], None]] = field(default_factory=list)

    def add(self, found: Found) -> None:
        """Sort what the probe yielded."""
        if isinstance(found, Failure):
            self.failures.append(found.reason)
        elif isinstance(found, Afterwards):
            self.afterwards.append(found.do)
        else:
            self.readings.append(found)


class Run:
    """The runs of one probe, one at a time."""

    def __init__(self, probe: Probe, parameters: Any, visit: Visit) -> None:
        self.probe = probe
        self._parameters = parameters
        self._visit = visit
        self._thread: threading.Thread | None = None

    @property
    def is_hanging(self) -> bool:
        """Whether a thread of an earlier run is still in the kernel."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def answers_events(self) -> bool:
        """Whether it is to be asked for news between its runs."""
        return self.probe.has_news is not None and getattr(self._parameters, "at_once", True)

    async def has_news(self) -> bool:
        """Whether there is something to read before the next run is due; False for one that hangs or fails to look.

        A probe that may block looks in a thread of its own, which is waited for LOOK_SECONDS at most.
        """
        ask = self.probe.has_news
        if ask is None or self.is_hanging:
            return False
        found: list[bool] = []

        def look() -> None:
            try:
                found.append(ask(self._visit, self._parameters))
            except Exception as error:  # noqa: BLE001 - this supervises the probe: its bug must not hurt another
                log.crash("A probe is broken", error, probe=self.probe.name)

        if not self.probe.may_block:
            look()
        else:
            await self._in_thread(look, LOOK_SECONDS)
        return any(found)

    async def _in_thread(self, work: Callable[[], None], seconds: float) -> bool:
        """Whether `work` ended within `seconds`; its thread is left behind otherwise, and shows as hanging."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def finish() -> None:
            if not done.done():
                done.set_result(None)

        def work_and_tell() -> None:
            work()
            if not loop.is_closed():
                loop.call_soon_threadsafe(finish)

        # A daemon thread: one that hangs in the kernel must not keep the agent from ending.
        self._thread = threading.Thread(target=work_and_tell, name=f"probe {self.probe.name}", daemon=True)
        self._thread.start()
        try:
            async with asyncio.timeout(seconds):
                await done
        except TimeoutError:
            return False
        self._thread = None
        return True

    def start(self, at: float) -> Outcome | asyncio.Task[Outcome]:
        """Run the probe at monotonic second `at`: at once, or as a task when it may block or waits.

        Neither raises: a failure, a bug in the probe, or a timeout is in the outcome, beside what was found before.
        """
        self._visit.begin(at)
        if self.probe.may_block:
            return asyncio.create_task(self._run_in_thread(), name=f"probe {self.probe.name}")
        found = self.probe.read(self._visit, self._parameters)
        if isinstance(found, AsyncIterator):
            return asyncio.create_task(self._await(found), name=f"probe {self.probe.name}")
        outcome = Outcome()
        self._exhaust(found, outcome)
        return outcome

    def follow_up(self, outcome: Outcome) -> None:
        """Do what the probe wanted done once its readings lie in the spool; never raises."""
        for do in outcome.afterwards:
            try:
                do()
            except Exception as error:  # noqa: BLE001 - this supervises the probe: its bug must not hurt another
                log.crash("A probe is broken", error, probe=self.probe.name)

    async def _await(self, found: AsyncIterator[Found]) -> Outcome:
        outcome = Outcome()
        try:
            async with asyncio.timeout(self.probe.timeout_seconds):
                async for entry in found:
                    outcome.add(entry)
        except TimeoutError:
            outcome.failures.append(self._late())
            outcome.is_silent = not outcome.readings
        except ProbeFailedError as error:
            outcome.failures.append(str(error))
            outcome.is_silent = isinstance(error, SilentError)
        except Exception as error:  # noqa: BLE001 - this supervises the probe: its bug must not hurt another
            self._blame(error, outcome)
        return outcome

    async def _run_in_thread(self) -> Outcome:
        outcome = Outcome()

        def work() -> None:
            found = self.probe.read(self._visit, self._parameters)
            if isinstance(found, Iterator):
                self._exhaust(found, outcome)

        if not await self._in_thread(work, self.probe.timeout_seconds):
            # What is to be done afterwards goes first: it belongs to readings that were yielded before it.
            afterwards = outcome.afterwards.copy()
            return Outcome(
                readings=outcome.readings.copy(),
                failures=[*outcome.failures, self._late()],
                afterwards=afterwards,
            )
        return outcome

    def _exhaust(self, found: Iterator[Found] | AsyncIterator[Found], outcome: Outcome) -> None:
        try:
            for entry in found:  # type: ignore[union-attr]  # async ones were sorted out by the callers
                outcome.add(entry)
        except ProbeFailedError as error:
            outcome.failures.append(str(error))
        except Exception as error:  # noqa: BLE001 - this supervises the probe: its bug must not hurt another
            self._blame(error, outcome)

    def _blame(self, error: Exception, outcome: Outcome) -> None:
        outcome.failures.append(f"the probe is broken: {type(error).__name__}: {error}")
        log.crash("A probe is broken", error, probe=self.probe.name)

    def _late(self) -> str:
        return f"no answer within {self.probe.timeout_seconds:g} s"
