"""Another machine's user, who types the command that lets it in."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from tests.support.processes import family, signal_if_there
from tests.system.installation import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.stranger import StrangersMachine


@contextmanager
def typed(machine: StrangersMachine, command: str, *more: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the page's command on the stranger's machine; what it says goes to `folder`/said."""
    program, *words = shlex.split(command)
    assert program == "watchkeep-agent"
    folder.mkdir(exist_ok=True)
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            [*machine.prefix, sys.executable, "-m", "agent", *words, "--data", str(folder / "agent"), *more],
            cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
        )  # fmt: skip
        try:
            yield process
        finally:
            _signal_ours(process, signal.SIGTERM)
            try:
                process.wait(120)
            except subprocess.TimeoutExpired:
                _signal_ours(process, signal.SIGKILL)
                process.wait(120)


def _signal_ours(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal the program itself: what brought it over there may be root's."""
    for one in family([process.pid]):
        with suppress(PermissionError):
            signal_if_there(one, number)
