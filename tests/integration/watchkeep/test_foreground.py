"""Ctrl-C at a terminal where make runs the command."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import termios
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).parents[3]
PROGRAM = """
import pathlib, signal, sys
from watchkeep.up.foreground import take_foreground
signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
if "take" in sys.argv:
    take_foreground()
pathlib.Path(sys.argv[1]).touch()
while True:
    signal.pause()
"""


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """A terminal: the end a person types at, and the end programs read."""
    person, program = os.openpty()
    yield person, program
    os.close(program)
    os.close(person)


def run_under_make(terminal: tuple[int, int], folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Start make at the terminal, with a command that ends with 0 when it is interrupted; return once that waits."""
    _, program = terminal
    (folder / "program.py").write_text(PROGRAM)
    ready = folder / "ready"
    command = f"PYTHONPATH={CHECKOUT} exec {sys.executable} program.py {ready} {' '.join(arguments)}"
    (folder / "Makefile").write_text(f"all:\n\t@{command}\n")
    made = subprocess.Popen(
        ["make", "-C", str(folder)],
        stdin=program, stdout=program, stderr=program, start_new_session=True,
        preexec_fn=_take_terminal,  # noqa: PLW1509 # there is no other way to a terminal of its own
    )  # fmt: skip
    try:
        wait_until(ready.exists, what="the command under make")
    except BaseException:
        made.kill()
        raise
    return made


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # who runs the tests in the background has it ignored


def test_ctrl_c_is_no_error_to_make(terminal: tuple[int, int], tmp_path: Path) -> None:
    made = run_under_make(terminal, tmp_path, "take")
    os.write(terminal[0], b"\x03")
    assert made.wait(60) == 0


def test_ctrl_z_does_not_leave_a_terminal_that_answers_nobody(terminal: tuple[int, int], tmp_path: Path) -> None:
    made = run_under_make(terminal, tmp_path, "take")
    os.write(terminal[0], b"\x1a")
    os.write(terminal[0], b"\x03")
    assert made.wait(60) == 0


def test_without_it_make_would_call_a_clean_stop_an_error(terminal: tuple[int, int], tmp_path: Path) -> None:
    made = run_under_make(terminal, tmp_path)
    os.write(terminal[0], b"\x03")
    assert made.wait(60) != 0
