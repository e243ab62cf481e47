"""Ports for the gate of an installation under test."""

from __future__ import annotations

import socket
from contextlib import ExitStack

GATE_PORTS = (0, 1, 2, 3)
"""Control, data, live feed, enrolment, from the gate's first port."""


def free_gate_port(address: str = "127.0.0.1") -> int:
    """Return a port at `address` that is free with the others a gate takes."""
    while True:
        with ExitStack() as opened:
            first = opened.enter_context(socket.socket())
            first.bind((address, 0))
            port = int(first.getsockname()[1])
            try:
                for more in GATE_PORTS[1:]:
                    opened.enter_context(socket.socket()).bind((address, port + more))
            except (OSError, OverflowError):
                continue
            return port
