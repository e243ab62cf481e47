"""Whether a name has addresses, and how fast: as this host's own resolver says (getaddrinfo(3), hosts file and all)."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from core.config.reader import setting
from probes.declaration import Item, Reading, Visit, probe
from probes.patterns import check_pattern, is_found
from probes.reaching import (
    DEFAULT_TIMEOUT,
    LONGEST_SECONDS,
    Deadline,
    Unreachable,
    check_host,
    check_timeout,
    resolve,
    state_reading,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Which name."""

    host: str = field(metadata=setting("the name to look up", check=check_host))
    name: str | None = field(default=None, metadata=setting("name of the look-up in its items; left out: the host"))
    expect: str | None = field(
        default=None,
        metadata=setting("regular expression that one of the addresses has to match", check=check_pattern),
    )
    timeout: timedelta = field(
        default=DEFAULT_TIMEOUT, metadata=setting("time the resolver has to answer", check=check_timeout)
    )


_ITEMS = (
    Item(
        key="dns.resolved", unit="", description="1 when there is an address as it should be, else 0", parameter="name"
    ),
    Item(key="dns.seconds", unit="s", description="Time the resolver took", parameter="name"),
    Item(key="dns.addresses", unit="", description="The addresses, in order", parameter="name", type="text"),
    Item(key="dns.state", unit="", description="ok, or what is wrong", parameter="name", type="text"),
)


@probe("dns.lookup", items=_ITEMS, parameters=Parameters, may_block=True, timeout_seconds=LONGEST_SECONDS + 5)
def look_up(visit: Visit, parameters: Parameters) -> "Iterator[Reading]":
    """Look the name up once. That there is none is a value, not a failure of the probe."""
    name, deadline = parameters.name or parameters.host, Deadline(parameters.timeout)
    try:
        found = resolve(visit, parameters.host, 0, deadline)
    except Unreachable as problem:
        yield Reading("dns.resolved", 0.0, name)
        yield from state_reading(visit, "dns.state", name, str(problem))
        return
    yield Reading("dns.seconds", deadline.spent_seconds, name)
    addresses = sorted({address[0] for *_, address in found})
    is_right = parameters.expect is None or any(is_found(parameters.expect, each) for each in addresses)
    yield Reading("dns.resolved", float(is_right), name)
    yield from state_reading(visit, "dns.addresses", name, " ".join(addresses))
    yield from state_reading(visit, "dns.state", name, "ok" if is_right else "no address is as it should be")
