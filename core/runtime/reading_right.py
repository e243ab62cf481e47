"""The right to read every file (CAP_DAC_READ_SEARCH, capabilities(7)), kept for the one child that needs it.

Who backs up files of all users need not be root: a service manager gives a normal user this right (AmbientCapabilities=
in systemd.exec(5)). So that not all the program's code has it, nor each program it starts, it is put away at once: the
process may take it up again for a moment, or hand it on to a child, and nothing else gets it. Without the right, and
for root, whose programs get every right by themselves, nothing here does anything.
"""

from __future__ import annotations

import os
import struct
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_CAP_DAC_READ_SEARCH: Final = 2
_BIT: Final = 1 << _CAP_DAC_READ_SEARCH
_HEADER: Final = struct.pack("=Ii", 0x20080522, 0)  # capset(2): version 3, this thread
_PR_CAP_AMBIENT, _AMBIENT_RAISE, _AMBIENT_LOWER = 47, 2, 3
_OF_THREAD: Final = Path("/proc/thread-self/status")


def is_kept() -> bool:
    """Whether this process has the right so that it can hand it on.

    Where /proc cannot be read nobody can tell, and it has not; nor has root, whom containers may give it like that.
    """
    if os.geteuid() == 0:
        return False
    try:
        sets = _sets()
    except OSError:
        return False
    return bool(sets["CapPrm"] & sets["CapInh"] & _BIT)


def put_away() -> None:
    """Take the right from this thread's hands, and from what it starts; it stays kept. To be called before others run.

    Raises OSError.
    """
    if is_kept():
        _demand("prctl", _PR_CAP_AMBIENT, _AMBIENT_LOWER, _CAP_DAC_READ_SEARCH, 0, 0)
        _use(is_used=False)


@contextmanager
def reading_all() -> Iterator[None]:
    """Have this thread read every file, as far as the right is kept; what it starts meanwhile does not get it."""
    if not is_kept():
        yield
        return
    try:
        _use(is_used=True)
        yield
    finally:
        _use(is_used=False)


def hand_on() -> None:
    """Give the right, which is kept, to the program that this child becomes: between fork and exec. Raises OSError."""
    _demand("prctl", _PR_CAP_AMBIENT, _AMBIENT_RAISE, _CAP_DAC_READ_SEARCH, 0, 0)


def _use(*, is_used: bool) -> None:
    sets = _sets()
    sets["CapEff"] = sets["CapEff"] | _BIT if is_used else sets["CapEff"] & ~_BIT
    order = [sets[name] for name in ("CapEff", "CapPrm", "CapInh")]
    halves = [(each >> shift) & 0xFFFFFFFF for shift in (0, 32) for each in order]
    _demand("capset", _HEADER, struct.pack("=6I", *halves))


def _sets() -> dict[str, int]:
    """Return this thread's sets of capabilities as masks (proc_pid_status(5))."""
    lines = (line.split(":") for line in _OF_THREAD.read_text().splitlines() if line.startswith("Cap"))
    return {name: int(mask, 16) for name, mask in lines}


def _demand(function: str, *arguments: object) -> None:
    import ctypes  # noqa: PLC0415 - 1 % of a light agent's memory, which hardly any needs

    if getattr(ctypes.CDLL(None, use_errno=True), function)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
