"""Ports of loopback that stay a test's own, also while nobody listens on them."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path
from typing import Final

# Below the ports that the kernel gives to outgoing connections, and beside those that are chosen without a lock.
_PORTS: Final = range(12_000, 20_000)
_held: list[int] = []
"""Locked descriptors, kept until the process ends: another run of tests on this machine chooses other ports."""


def claim_ports(count: int) -> list[int]:
    """Return ports that are free for TCP and UDP, and that nobody else is given before this process has ended."""
    folder = Path(tempfile.gettempdir()) / f"watchkeep-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    ports: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        descriptor = os.open(folder / str(port), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            continue
        if not _is_free(port):
            os.close(descriptor)
            continue
        _held.append(descriptor)
        ports.append(port)
        if len(ports) == count:
            return ports
    raise AssertionError("no free ports on loopback")


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True
