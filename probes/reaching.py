"""Reaches another machine for a probe: names are resolved and connections made within one deadline."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from probes.declaration import ProbeFailedError, Reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from probes.visit import Visit

LONGEST_SECONDS: Final = 60.0
DEFAULT_TIMEOUT: Final = timedelta(seconds=10)
_MOST_ADDRESSES: Final = 8


class Unreachable(Exception):
    """The other machine did not answer as it should; the text says how."""


class Deadline:
    """An instant until which everything has to be done."""

    def __init__(self, timeout: timedelta) -> None:
        self.begun_at = time.monotonic()
        self._seconds = timeout.total_seconds()

    @property
    def spent_seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self.begun_at

    def left_seconds(self) -> float:
        """Return how long it may still take. Raises Unreachable when that is over."""
        left = self._seconds - self.spent_seconds
        if left <= 0:
            raise self.passed()
        return left

    def passed(self) -> Unreachable:
        """Return what to raise when it is over."""
        return Unreachable(f"no answer within {self._seconds:g} s")


def check_timeout(timeout: timedelta) -> str | None:
    """Return what is wrong with the time another machine is given."""
    return None if 0.1 <= timeout.total_seconds() <= LONGEST_SECONDS else f"expected 100ms to {LONGEST_SECONDS:g}s"


def check_port(port: int) -> str | None:
    """Return what is wrong with a port's number."""
    return None if 1 <= port <= 65_535 else "expected a port from 1 to 65535"


def check_host(address: str) -> str | None:
    """Return what is wrong with a machine's name or address."""
    if address.isprintable() and " " not in address and not address.startswith("-") and len(address) < 254:
        return None
    return "expected a machine's name or address"


def resolve(visit: Visit, host: str, port: int, deadline: Deadline, family: int = 0, kind: int = 0) -> list[Any]:
    """Return the addresses of `host` as getaddrinfo() does. Raises Unreachable. Blocks; at most one thread a name."""
    look_up = partial(socket.getaddrinfo, host, port, family, kind or socket.SOCK_STREAM)
    with suppress(socket.gaierror):
        return look_up(flags=socket.AI_NUMERICHOST)
    try:
        # The resolver has no deadline of its own; its thread may outlive the visit.
        return visit.call_patiently(f"the name {host}", look_up, deadline.left_seconds())[:_MOST_ADDRESSES]
    except ProbeFailedError as error:
        raise Unreachable(str(error)) from error
    except UnicodeError as error:
        raise Unreachable(f"the name {host} is none") from error


def connect(visit: Visit, host: str, port: int, deadline: Deadline) -> socket.socket:
    """Return a connection to the first address that answers. Raises Unreachable. Blocks."""
    problem = "no address"
    for family, kind, protocol, _, address in resolve(visit, host, port, deadline):
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(deadline.left_seconds())
            connection.connect(address)
        except Unreachable:
            connection.close()
            raise
        except OSError as error:
            connection.close()
            problem = error.strerror or str(deadline.passed())  # a timeout has no words of its own
        else:
            return connection
    raise Unreachable(f"{host} port {port}: {problem}")


def state_reading(visit: Visit, item: str, name: str, state: str) -> Iterator[Reading]:
    """Yield the text `state` when it is another than at the last visit: only changes are worth keeping."""
    if visit.kept.get(item) != state:
        visit.kept[item] = state
        yield Reading(item, state, name)
