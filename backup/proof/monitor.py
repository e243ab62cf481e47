"""Asks a QEMU by its monitor's protocol (QMP: a JSON document a line, events in between) whether its guest goes on."""

from __future__ import annotations

import json
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ANSWER_SECONDS: Final = 5.0
_MOST_BYTES: Final = 1 << 20


def why_stopped(monitor: Path) -> str | None:
    """Return QEMU's word for why its guest does not run ("internal-error"); None while it does, or QEMU is silent."""
    with suppress(OSError, ValueError, KeyError, TypeError, StopIteration), socket.socket(socket.AF_UNIX) as link:
        link.settimeout(_ANSWER_SECONDS)
        link.connect(str(monitor))
        answers = (each["return"] for each in _documents(link) if "return" in each)
        for command in ("qmp_capabilities", "query-status"):
            link.sendall(json.dumps({"execute": command}).encode())
            answer = next(answers)
        return None if answer["running"] else str(answer["status"])
    return None


def _documents(link: socket.socket) -> Iterator[dict[str, Any]]:
    """Yield what QEMU says until it ends, or has said too much or for too long."""
    said, heard = b"", 0
    until = time.monotonic() + _ANSWER_SECONDS
    while heard < _MOST_BYTES and time.monotonic() < until:
        piece = link.recv(1 << 16)
        if not piece:
            return
        heard += len(piece)
        *lines, said = (said + piece).split(b"\n")
        yield from (json.loads(line) for line in lines)
