"""Lets Ctrl-C reach `watchkeep up` alone when make started it.

The terminal sends SIGINT to every process in its foreground. GNU make then waits for us, and afterwards ends by the
signal itself, calling a clean stop an error. As a process group of our own in the foreground we are the only one asked.
"""

from __future__ import annotations

import os
import signal
import sys


def take_foreground() -> None:
    """Become the terminal's foreground process group if make is our parent and we hold a terminal; else nothing.

    Ctrl-Z is ignored then: make would not notice that we are stopped, and the terminal would answer nobody.
    """
    if "MAKELEVEL" not in os.environ or not sys.stdin.isatty():
        return
    terminal = sys.stdin.fileno()
    try:
        if os.tcgetpgrp(terminal) != os.getpgrp() or os.getsid(0) == os.getpid():
            return
        os.setpgid(0, 0)
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # a background group that asks for the foreground is stopped
        signal.signal(signal.SIGTSTP, signal.SIG_IGN)
        os.tcsetpgrp(terminal, os.getpgrp())
    except OSError:
        return  # a terminal that is not ours: Ctrl-C reaches us with everybody else
