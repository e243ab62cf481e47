"""Ports for the gate of an installation under test."""

from __future__ import annotations

import socket
from contextlib import ExitStack

from core.runtime.ports import bound_socket, port_of

GATE_PORTS = (0, 1, 2, 3)
"""Control, data, live feed, enrolment, from the gate's first port."""


def free_gate_port(address: str = "127.0.0.1") -> int:
    """Return a port at `address` that is free with the others a gate takes."""
    while True:
        with ExitStack() as opened:
            port = port_of(opened.enter_context(bound_socket(address)))
            try:
                for more in GATE_PORTS[1:]:
                    opened.enter_context(socket.socket()).bind((address, port + more))
            except (OSError, OverflowError):
                continue
            return port
