"""Limits how fast a program sends.

duplicity has no limit of its own. The kernel spreads what a connection sends (SO_MAX_PACING_RATE, socket(7)), whatever
library opened it and whether it is encrypted.
"""

import os
import socket
from typing import Any, Final

_SO_MAX_PACING_RATE: Final = 47  # asm-generic/socket.h; Python has no name for it
_BYTES_PER_SECOND: Final = int(os.environ["WATCHKEEP_UPLOAD_LIMIT"])
_connect = socket.socket.connect


def connect(self: socket.socket, address: Any) -> None:
    """Connect as ever, with a limit."""
    if self.family in (socket.AF_INET, socket.AF_INET6):
        self.setsockopt(socket.SOL_SOCKET, _SO_MAX_PACING_RATE, _BYTES_PER_SECOND)
    _connect(self, address)


socket.socket.connect = connect  # type: ignore[method-assign,assignment]  # the one place all libraries go through
