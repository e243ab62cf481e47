"""The daemons `watchkeep up` starts: kept running, stopped in order, never orphaned."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from core.runtime.logging import Log
from core.runtime.reading_right import hand_on, is_kept

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

log = Log("up")

STOP_SECONDS: Final = 15.0
FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 10.0
STEADY_SECONDS: Final = 30.0
LOG_BYTES: Final = 10 * 1024 * 1024


@dataclass(slots=True, kw_only=True)
class Child:
    """One daemon: its name, its argument list, the file its log lines go to.

    reads_all: it gets the right to read every file, where we have it.
    """

    name: str
    arguments: Sequence[str]
    log_file: Path
    reads_all: bool = False
    process: asyncio.subprocess.Process | None = field(default=None)
    restarts: int = 0

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self.process.pid if self.process is not None and self.process.returncode is None else None

    async def start(self) -> None:
        """Start it; its own death signal is the end of this process, so that none outlives a killed `up`."""
        if self.log_file.exists() and self.log_file.stat().st_size > LOG_BYTES:
            self.log_file.replace(self.log_file.with_suffix(".log.1"))
        with self.log_file.open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                *self.arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C reaches `up` alone, which stops the parts in their order
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
                preexec_fn=hand_on if self.reads_all and is_kept() else None,
            )

    async def keep(self) -> None:
        """Start it again whenever it ends, waiting longer the more often it fails, until cancelled."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            if self.process is None:
                await self.start()
            process = self.process
            if process is None:
                raise RuntimeError(f"{self.name} did not start")
            started = asyncio.get_running_loop().time()
            code = await process.wait()
            steady = asyncio.get_running_loop().time() - started > STEADY_SECONDS
            pause = FIRST_PAUSE_SECONDS if steady else min(pause * 2, LONGEST_PAUSE_SECONDS)
            self.restarts += 1
            log.warning("a part ended and is started again", part=self.name, code=code, log=self.log_file, pause=pause)
            self.process = None
            await asyncio.sleep(pause)

    async def stop(self) -> None:
        """End it: SIGTERM, and SIGKILL when it has not ended after STOP_SECONDS."""
        process = self.process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            log.error("a part did not stop in time and is killed", part=self.name, seconds=STOP_SECONDS)
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def own_process(prefix: Sequence[str], *arguments: str) -> list[str]:
    """Return the argument list for a daemon under an account's `prefix` that gets SIGTERM when its parent dies."""
    return [*prefix, "setpriv", "--pdeathsig", "TERM", "--", *arguments]
