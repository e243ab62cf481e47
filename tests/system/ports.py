"""Ports for the gate of an installation under test."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack

GATE_PORTS = (0, 1, 2, 3)
"""Control, data, live feed, enrolment, from the gate's first port."""
_OWN = (20_000, 32_000)
"""Below those that Linux gives to connections, which would take one while an installation is down for a moment."""


def free_gate_port(address: str = "127.0.0.1") -> int:
    """Return a port at `address` that is free with the others a gate takes."""
    while True:
        with ExitStack() as opened:
            port = random.randrange(*_OWN)
            try:
                for more in GATE_PORTS:
                    opened.enter_context(socket.socket()).bind((address, port + more))
            except (OSError, OverflowError):
                continue
            return port
