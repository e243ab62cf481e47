"""Runs one probe so that whatever it does hurts no other: it may raise, hang, or answer in part."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from core.runtime.logging import Log
from probes.declaration import Failure, ProbeFailedError

if TYPE_CHECKING:
    from probes.declaration import Found, Probe, Reading
    from probes.visit import Visit

log = Log("agent")


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a run has found so far. A thread that hangs keeps its own, so that it cannot change what was published."""

    readings: list[Reading] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def add(self, found: Found) -> None:
        """Sort what the probe yielded."""
        if isinstance(found, Failure):
            self.failures.append(found.reason)
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

    async def _await(self, found: AsyncIterator[Found]) -> Outcome:
        outcome = Outcome()
        try:
            async with asyncio.timeout(self.probe.timeout_seconds):
                async for entry in found:
                    outcome.add(entry)
        except TimeoutError:
            outcome.failures.append(self._late())
        except ProbeFailedError as error:
            outcome.failures.append(str(error))
        except Exception as error:  # noqa: BLE001 - this supervises the probe: its bug must not hurt another
            self._blame(error, outcome)
        return outcome

    async def _run_in_thread(self) -> Outcome:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        outcome = Outcome()

        def finish() -> None:
            if not done.done():
                done.set_result(None)

        def work() -> None:
            found = self.probe.read(self._visit, self._parameters)
            if isinstance(found, Iterator):
                self._exhaust(found, outcome)
            if not loop.is_closed():
                loop.call_soon_threadsafe(finish)

        # A daemon thread: one that hangs in the kernel must not keep the agent from ending.
        self._thread = threading.Thread(target=work, name=f"probe {self.probe.name}", daemon=True)
        self._thread.start()
        try:
            async with asyncio.timeout(self.probe.timeout_seconds):
                await done
        except TimeoutError:
            return Outcome(readings=outcome.readings.copy(), failures=[*outcome.failures, self._late()])
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
