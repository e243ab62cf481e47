"""Files that change while they are saved, and a run of their set that is held in its middle."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from tests.support.backups import CHECKOUT, SET
from tests.support.holding import ENCRYPTING, HeldGpg
from tests.support.processes import family
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.backups import Site

_LIMIT_SECONDS = 240.0
_STEPS = 50
_PAUSE_SECONDS = 0.02  # others have the processor, too


class Writer:
    """A context, in which the same number is brought to disk in two files, always in one after the other."""

    def __init__(self, folder: Path, other: Path | None = None) -> None:
        """Write "first" in a folder, and "then" there too, or in another."""
        self._files = (folder / "first", (other or folder) / "then")
        self._number, self._end = 0, threading.Event()
        self._thread = threading.Thread(target=self._write)

    def _write(self) -> None:
        descriptors = [os.open(file, os.O_WRONLY | os.O_CREAT | os.O_DSYNC, 0o600) for file in self._files]
        while not self._end.wait(_PAUSE_SECONDS):
            for descriptor in descriptors:
                os.pwrite(descriptor, b"%020d" % self._number, 0)
            self._number += 1
        for descriptor in descriptors:
            os.close(descriptor)

    def go_on(self) -> None:
        """Return when it has written many more."""
        before = self._number
        wait_until(lambda: self._number > before + _STEPS, _LIMIT_SECONDS, "the writer's next numbers")

    def __enter__(self) -> Self:
        self._thread.start()
        self.go_on()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()


@contextmanager
def held_run(site: Site) -> Iterator[tuple[subprocess.Popen[str], HeldGpg]]:
    """A `bkp run` whose first volume waits while nothing is let go."""
    with HeldGpg(site.folder, ENCRYPTING) as held:
        run = subprocess.Popen(
            site.command("host", "run", SET), cwd=CHECKOUT, start_new_session=True, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=held.environment,
        )  # fmt: skip
        try:
            wait_until(lambda: held.is_held or run.poll() is not None, _LIMIT_SECONDS, "duplicity at its first volume")
            assert held.is_held, run.communicate()
            yield run, held
        finally:
            everybody = family([run.pid])
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGKILL)
            run.communicate()
            wait_until(lambda: not any(one.is_there for one in everybody), _LIMIT_SECONDS, "the end of the run")
