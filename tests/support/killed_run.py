"""A `bkp run` as a program, killed with everything it started."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

from tests.support.backups import CHECKOUT, SET
from tests.support.processes import family
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.backups import Site

_LIMIT_SECONDS = 240.0


class KilledRun:
    """A `bkp run` as a program, killed as soon as a look at its files says so."""

    def __init__(self, site: Site, *options: str, environment: dict[str, str] | None = None) -> None:
        self._site = site
        self.told = site.folder / "told"
        with self.told.open("wb") as out:
            self.process = subprocess.Popen(
                site.command("host", "run", SET, "--json", *options), cwd=CHECKOUT, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                env=environment or os.environ | {"PYTHONUNBUFFERED": "1"},
            )  # fmt: skip

    def kill_when(self, is_there: Callable[[], bool]) -> bool:
        """Kill it when `is_there`; return whether that came before its end. Nothing of it runs afterwards."""
        deadline = time.monotonic() + _LIMIT_SECONDS
        while not (came := is_there()) and self.process.poll() is None:
            assert time.monotonic() < deadline, self.told.read_text()
            time.sleep(0.001)
        everybody = family([self.process.pid])
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        wait_until(lambda: not any(one.is_there for one in everybody), 120, "the end of everything the run started")
        return came

    def has_told(self, phase: str) -> bool:
        return f'"phase": "{phase}"' in self.told.read_text()
