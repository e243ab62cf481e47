"""Ports of this machine that nobody has: for what is told its port before it listens there."""

from __future__ import annotations

import secrets
import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

LOOPBACK: Final = "127.0.0.1"
# Below those Linux gives to connections (32,768 and up): such a one would be taken by any call that begins before the
# part listens, or while it is down for a moment.
_FIRST, _BEYOND = 20_000, 32_000
_TRIES: Final = 100


def bound_socket(
    address: str = LOOPBACK, kind: socket.SocketKind = socket.SOCK_STREAM, *, avoided: Collection[int] = ()
) -> socket.socket:
    """Return a socket bound to a free port that is none of `avoided`; whoever closes it may listen there.

    Raises OSError when there is none.
    """
    for _ in range(_TRIES):
        port = _FIRST + secrets.randbelow(_BEYOND - _FIRST)
        if port in avoided:
            continue
        found = socket.socket(socket.AF_INET, kind)
        try:
            found.bind((address, port))
        except OSError:
            found.close()
        else:
            return found
    found = socket.socket(socket.AF_INET, kind)
    try:
        found.bind((address, 0))
    except OSError:
        found.close()
        raise
    return found


def free_port(address: str = LOOPBACK, kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Return the number of a free port. Raises OSError when there is none."""
    with bound_socket(address, kind) as found:
        return port_of(found)


def port_of(bound: socket.socket) -> int:
    """Return the port a socket is bound to."""
    return int(bound.getsockname()[1])
