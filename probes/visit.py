"""A probe's visit at the host: where to look, what the last visit saw, and patience with what may hang."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

Result = TypeVar("Result")

_READ_BYTES: Final = 1 << 16


class ProbeFailedError(Exception):
    """The probe found the host unreadable: a fact about the host; the text names what and why."""


class SilentError(ProbeFailedError):
    """What was asked did not answer at all: whoever asks may leave it alone for a while."""


class Visit:
    """What one configured probe keeps between its reads. Used by one run at a time.

    `proc` is the folder of the proc filesystem, so that an agent in a container can watch its host's. `own` returns
    what the daemon that runs the probe counts of itself, by name. `folder` is where a probe may remember things over a
    restart, None where it cannot. `commands` are the programs, and the folders of programs, that this machine's
    administrator lets probes start, `logs` the logs, and the folders of logs, they may read. `kept` is the probe's own,
    and lives as long as the visit.
    """

    def __init__(
        self,
        proc: str = "/proc",
        own: Callable[[], Mapping[str, float]] = dict,
        *,
        folder: Path | None = None,
        commands: Sequence[Path] = (),
        logs: Sequence[Path] = (),
    ) -> None:
        self.proc = proc
        self.own = own
        self.folder = folder
        self.commands = tuple(commands)
        self.logs = tuple(logs)
        self.kept: dict[str, object] = {}
        self.at = 0.0
        self._last_at = 0.0
        self._totals: dict[str, float] = {}
        self._last_totals: dict[str, float] = {}
        self._stuck: dict[str, threading.Thread] = {}

    def begin(self, at: float) -> None:
        """Start the next read at monotonic second `at`; totals the last read did not see are forgotten."""
        self._last_at, self.at = self.at, at
        self._last_totals, self._totals = self._totals, {}

    @property
    def elapsed_seconds(self) -> float:
        """How long ago the last read was; since the clock's start at first."""
        return self.at - self._last_at

    def growth(self, key: str, total: float) -> float | None:
        """Return how much the counter `key` grew since the last read; None at first and after it went backwards."""
        self._totals[key] = total
        last = self._last_totals.get(key)
        return total - last if last is not None and total >= last else None

    def rate(self, key: str, total: float) -> float | None:
        """Return the growth per second of the counter `key`; None at first and after it went backwards."""
        growth = self.growth(key, total)
        seconds = self.elapsed_seconds
        return growth / seconds if growth is not None and seconds > 0 else None

    def text(self, name: str) -> str:
        """Return the text of the proc file `name`. Raises ProbeFailedError naming the file and the reason."""
        return read_text(f"{self.proc}/{name}")

    def call_patiently(self, key: str, function: Callable[[], Result], seconds: float) -> Result:
        """Return `function()`, called in a thread of its own because the kernel may never come back from it.

        Raises ProbeFailedError after `seconds`, and at once while an earlier call for `key` still hangs, so there is
        at most one thread a key. An OSError of the function becomes a ProbeFailedError.
        """
        stuck = self._stuck.get(key)
        if stuck is not None and stuck.is_alive():
            raise ProbeFailedError(f"{key} has not answered since an earlier read")
        outcome: list[Result | OSError] = []

        def call() -> None:
            try:
                outcome.append(function())
            except OSError as error:
                outcome.append(error)

        thread = threading.Thread(target=call, name=f"patience {key}", daemon=True)
        thread.start()
        thread.join(seconds)
        if not outcome:
            self._stuck[key] = thread
            raise ProbeFailedError(f"{key} did not answer within {seconds:g} s")
        self._stuck.pop(key, None)
        if isinstance(outcome[0], OSError):
            raise ProbeFailedError(f"{key}: {outcome[0].strerror}") from outcome[0]
        return outcome[0]


def read_text(path: str) -> str:
    """Return a kernel file's text; bytes that are no UTF-8 become surrogates, so that a path stays usable.

    Raises ProbeFailedError naming the file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            parts = []
            while part := os.read(descriptor, _READ_BYTES):
                parts.append(part)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise ProbeFailedError(f"{path}: {error.strerror}") from error
    return b"".join(parts).decode(errors="surrogateescape")
