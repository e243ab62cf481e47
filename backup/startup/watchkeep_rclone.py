"""Has an rclone that duplicity starts end with it.

Killed itself, duplicity leaves its rclone sending: a volume could come up at the target in the middle of the next run.
"""

import ctypes
import os
import signal
import subprocess
from typing import Any, Final

_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None)
_SELF: Final = os.getpid()


def _settle() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != _SELF:  # it died between fork and prctl
        os._exit(127)


class Popen(subprocess.Popen[Any]):
    """A program as ever, but mortal."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        options.setdefault("preexec_fn", _settle)
        super().__init__(*arguments, **options)


subprocess.Popen = Popen  # type: ignore[misc]  # the backend takes it from there at each call
