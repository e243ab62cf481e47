"""What goes through each network interface (proc(5): net/dev)."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from core.config.reader import setting
from probes.declaration import Failure, Item, Reading, Visit, probe
from probes.patterns import Choice, check_patterns

if TYPE_CHECKING:
    from collections.abc import Iterator

# Loopback says nothing about the network; the others come and go with containers, each time under a new name.
_PASSING: Final = "^(lo$|veth|ifb|dummy|cali|lxc)"


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Which interfaces to read."""

    interfaces: tuple[str, ...] = field(
        default=(), metadata=setting("exactly these, and a failure when one is missing; empty: all that are chosen")
    )
    include: tuple[str, ...] = field(
        default=(),
        metadata=setting("only interfaces with these regular expressions in their name", check=check_patterns),
    )
    exclude: tuple[str, ...] = field(
        default=(_PASSING,),
        metadata=setting("no interfaces with these regular expressions in their name", check=check_patterns),
    )


_ITEMS = (
    Item(key="network.received", unit="B/s", description="Bytes received", parameter="interface"),
    Item(key="network.sent", unit="B/s", description="Bytes sent", parameter="interface"),
    Item(key="network.received_packets", unit="1/s", description="Packets received", parameter="interface"),
    Item(key="network.sent_packets", unit="1/s", description="Packets sent", parameter="interface"),
    Item(key="network.errors", unit="1/s", description="Packets damaged, both ways", parameter="interface"),
    Item(key="network.dropped", unit="1/s", description="Packets dropped, both ways", parameter="interface"),
)


@probe("network", items=_ITEMS, parameters=Parameters)
def read_network(visit: Visit, parameters: Parameters) -> "Iterator[Reading | Failure]":
    """Yield rates since the last visit, so the first visit yields none; a named interface that is gone is a failure."""
    choice = Choice(include=parameters.include, exclude=parameters.exclude)
    found = set()
    for line in visit.text("net/dev").splitlines()[2:]:
        name, _, rest = line.partition(":")
        interface = name.strip()
        wanted = parameters.interfaces
        if interface not in wanted if wanted else not choice.takes(interface):
            continue
        found.add(interface)
        totals = [float(total) for total in rest.split()]
        for item, total in (
            ("network.received", totals[0]),
            ("network.sent", totals[8]),
            ("network.received_packets", totals[1]),
            ("network.sent_packets", totals[9]),
            ("network.errors", totals[2] + totals[10]),
            ("network.dropped", totals[3] + totals[11]),
        ):
            yield Reading(item, visit.rate(f"{item}[{interface}]", total), interface)
    for interface in parameters.interfaces:
        if interface not in found:
            yield Failure(f"there is no network interface {interface}")
