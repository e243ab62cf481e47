"""A process of ours under trial: started, killed by its id, started again; never outlives the trial."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CHECKOUT: Final = Path(__file__).parents[2]
STOP_SECONDS: Final = 60.0


@dataclass(slots=True, kw_only=True)
class Part:
    """One program: its name, its argument list, the file its output goes to."""

    name: str
    arguments: Sequence[str]
    log_file: Path
    process: asyncio.subprocess.Process | None = field(default=None)
    starts: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    """What its next start sees besides."""

    @property
    def pid(self) -> int:
        """Its process id. Fails when it does not run."""
        assert self.process is not None, f"{self.name} was never started"
        assert self.process.returncode is None, f"{self.name} has ended:\n{self.end_of_log()}"
        return self.process.pid

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.returncode is None

    async def start(self) -> None:
        """Start it in a session of its own; its output is appended to the log."""
        assert not self.is_running, f"{self.name} runs already"
        with self.log_file.open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                *self.arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=CHECKOUT,
                start_new_session=True,
                env=os.environ | {"PYTHONUNBUFFERED": "1"} | dict(self.environment),
            )
        self.starts += 1

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it alone; nothing when it has ended."""
        if self.process is not None and self.process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, number)

    async def kill(self) -> None:
        """SIGKILL, and wait until it is gone. Nothing when it has ended already."""
        self.send(signal.SIGKILL)
        await self.ended()

    async def ended(self, timeout_seconds: float = STOP_SECONDS) -> int:
        """Wait until it has ended by itself; return its exit code (negative: the signal)."""
        assert self.process is not None
        try:
            return await asyncio.wait_for(self.process.wait(), timeout_seconds)
        except TimeoutError:
            raise AssertionError(f"{self.name} did not end in {timeout_seconds} s:\n{self.end_of_log()}") from None

    async def stop(self) -> None:
        """SIGTERM, also when it is frozen; SIGKILL to its session when it has not ended in time."""
        if self.process is None:
            return
        self.send(signal.SIGTERM)
        self.send(signal.SIGCONT)
        try:
            await self.ended()
        finally:
            with suppress(ProcessLookupError):  # whatever it started itself
                os.killpg(self.process.pid, signal.SIGKILL)
            await self.process.wait()

    def end_of_log(self, characters: int = 2000) -> str:
        return self.log_file.read_text(errors="replace")[-characters:] if self.log_file.exists() else ""
