"""Whether something accepts connections at a port, and how fast."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from core.config.reader import setting
from probes.declaration import Item, Reading, Visit, probe
from probes.reaching import (
    DEFAULT_TIMEOUT,
    LONGEST_SECONDS,
    Deadline,
    Unreachable,
    check_host,
    check_port,
    check_timeout,
    connect,
    state_reading,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Where to connect to."""

    host: str = field(metadata=setting("name or address of the machine", check=check_host))
    port: int = field(metadata=setting("port", check=check_port))
    name: str | None = field(default=None, metadata=setting("name of the service in its items; left out: host:port"))
    timeout: timedelta = field(default=DEFAULT_TIMEOUT, metadata=setting("time it has to answer", check=check_timeout))


_ITEMS = (
    Item(key="tcp.reachable", unit="", description="1 when a connection was accepted, else 0", parameter="service"),
    Item(
        key="tcp.seconds", unit="s", description="Time until it was, the name's look-up included", parameter="service"
    ),
    Item(key="tcp.state", unit="", description="ok, or what is wrong", parameter="service", type="text"),
)


@probe("tcp.connect", items=_ITEMS, parameters=Parameters, may_block=True, timeout_seconds=LONGEST_SECONDS + 5)
def connect_once(visit: Visit, parameters: Parameters) -> "Iterator[Reading]":
    """Connect and hang up. That nothing answers is a value, not a failure of the probe."""
    name = parameters.name or f"{parameters.host}:{parameters.port}"
    deadline = Deadline(parameters.timeout)
    try:
        with connect(visit, parameters.host, parameters.port, deadline):
            yield Reading("tcp.seconds", deadline.spent_seconds, name)
    except Unreachable as problem:
        yield Reading("tcp.reachable", 0.0, name)
        yield from state_reading(visit, "tcp.state", name, str(problem))
    else:
        yield Reading("tcp.reachable", 1.0, name)
        yield from state_reading(visit, "tcp.state", name, "ok")
