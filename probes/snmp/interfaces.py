"""The network interfaces of a device, discovered by walking its tables (IF-MIB, RFC 2863)."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from core.config.reader import setting
from probes.declaration import Item, Reading, Visit, probe
from probes.device import DeviceVisit, at_device
from probes.patterns import Choice, check_patterns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from probes.declaration import Failure
    from probes.snmp.oid import Oid, Value

_PLAIN: Final = (1, 3, 6, 1, 2, 1, 2, 2, 1)  # ifTable
_LARGE: Final = (1, 3, 6, 1, 2, 1, 31, 1, 1, 1)  # ifXTable
_UPTIME: Final = (1, 3, 6, 1, 2, 1, 1, 3, 0)
_DESCRIPTION, _SPEED = (*_PLAIN, 2), (*_PLAIN, 5)
_WANTED_STATE, _STATE = (*_PLAIN, 7), (*_PLAIN, 8)
_NAME, _LARGE_SPEED, _ALIAS, _BROKEN_OFF = (*_LARGE, 1), (*_LARGE, 15), (*_LARGE, 18), (*_LARGE, 19)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counter:
    """An item that tells how fast a counter grows: 64 bits where the device has them, else 32."""

    item: Item
    plain: "Oid"
    large: "Oid | None" = None


def _counter(name: str, unit: str, description: str, plain: int, large: int | None = None) -> _Counter:
    key = f"snmp.interface.{name}_rate"
    item = Item(key=key, unit=unit, description=description, parameter="interface")
    return _Counter(item=item, plain=(*_PLAIN, plain), large=None if large is None else (*_LARGE, large))


_COUNTERS: Final = (
    _counter("in_octets", "B/s", "Bytes received", 10, 6),
    _counter("out_octets", "B/s", "Bytes sent", 16, 10),
    _counter("in_packets", "1/s", "Packets received for one receiver", 11, 7),
    _counter("out_packets", "1/s", "Packets sent to one receiver", 17, 11),
    _counter("in_errors", "1/s", "Packets received damaged", 14),
    _counter("out_errors", "1/s", "Packets not sent because of errors", 20),
    _counter("in_discards", "1/s", "Packets received and dropped without being damaged", 13),
    _counter("out_discards", "1/s", "Packets dropped before they were sent", 19),
)
_STATES: Final = (
    Item(
        key="snmp.interface.state",
        unit="",
        description="1 up, 2 down, 3 testing, 4 unknown, 5 dormant, 6 not present, 7 lower layer down",
        parameter="interface",
    ),
    Item(
        key="snmp.interface.wanted_state",
        unit="",
        description="What the state shall be: 1 up, 2 down, 3 testing",
        parameter="interface",
    ),
    Item(key="snmp.interface.speed", unit="bit/s", description="Nominal speed", parameter="interface"),
    Item(
        key="snmp.interface.alias",
        unit="",
        description="What the device's operator called it",
        parameter="interface",
        type="text",
    ),
)
_ITEMS: Final = (
    *(counter.item for counter in _COUNTERS),
    *_STATES,
    Item(key="snmp.uptime", unit="s", description="Since when the device's SNMP agent has been running"),
)
_COLUMNS: Final = (
    *(_DESCRIPTION, _SPEED, _WANTED_STATE, _STATE, _NAME, _LARGE_SPEED, _ALIAS, _BROKEN_OFF),
    *(counter.plain for counter in _COUNTERS),
    *(counter.large for counter in _COUNTERS if counter.large is not None),
)


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Which interfaces to read."""

    include: tuple[str, ...] = field(
        default=(), metadata=setting("regular expressions of names; empty: all", check=check_patterns)
    )
    exclude: tuple[str, ...] = field(
        default=("^lo[0-9]*$", "^Null", "^Voice"),
        metadata=setting("regular expressions of names left out", check=check_patterns),
    )


@probe("snmp.interfaces", items=_ITEMS, parameters=Parameters, timeout_seconds=60.0, polls="snmp")
async def read_interfaces(visit: Visit, parameters: Parameters) -> "AsyncIterator[Reading | Failure]":
    """Walk the tables; every chosen interface announces itself. The first walk yields no rates.

    No rates either over a restart of the device or when it says that an interface's counters began anew.
    """
    from probes.snmp.session import open_session  # noqa: PLC0415 - only those who poll have pysnmp

    at = at_device(visit)
    session = await open_session(at)
    (uptime,) = await session.get([_UPTIME])
    is_same_life = True
    if isinstance(uptime, float):
        yield Reading("snmp.uptime", uptime / 100)
        # The counter of hundredths wraps after 497 days; then, as after a restart, one round of rates is left out.
        is_same_life = at.grown("uptime", uptime, 64) is not None
    table = await session.walk(_COLUMNS)
    choice = Choice(include=parameters.include, exclude=parameters.exclude)
    for name, row in name_rows(table):
        if choice.takes(name):
            for reading in _of_interface(name, row, at):
                if is_same_life or not reading.item.endswith("_rate"):
                    yield reading


def name_rows(table: "dict[Oid, dict[Oid, Value]]") -> "Iterator[tuple[str, dict[Oid, Value]]]":
    """Yield each interface with a name of its own: the short name, else the description, else the index."""
    taken: set[str] = set()
    for index, row in sorted(table.items()):
        number = ".".join(map(str, index))
        name = str(row.get(_NAME) or row.get(_DESCRIPTION) or number)
        if name in taken:
            name = f"{name}#{number}"
        taken.add(name)
        yield name, row


def _of_interface(name: str, row: "dict[Oid, Value]", visit: DeviceVisit) -> "Iterator[Reading]":
    begun = row.get(_BROKEN_OFF)
    is_begun_anew = isinstance(begun, float) and visit.growth(f"{name} begun", begun) not in (0.0, None)
    for counter in _COUNTERS:
        rate = _rate(f"{counter.item.key}[{name}]", counter, row, visit)
        yield Reading(counter.item.key, None if is_begun_anew else rate, name)
    for key, column in (("state", _STATE), ("wanted_state", _WANTED_STATE)):
        if isinstance(state := row.get(column), float):
            yield Reading(f"snmp.interface.{key}", state, name)
    if isinstance(megabits := row.get(_LARGE_SPEED), float) and megabits > 0:
        yield Reading("snmp.interface.speed", megabits * 1e6, name)
    elif isinstance(speed := row.get(_SPEED), float):
        yield Reading("snmp.interface.speed", speed, name)
    if alias := row.get(_ALIAS):
        yield Reading("snmp.interface.alias", str(alias), name)


def _rate(key: str, counter: _Counter, row: "dict[Oid, Value]", visit: DeviceVisit) -> float | None:
    large = None if counter.large is None else row.get(counter.large)
    plain = row.get(counter.plain)
    if isinstance(large, float):
        growth = visit.grown(f"{key} 64", large, 64)
    elif isinstance(plain, float):
        growth = visit.grown(key, plain, 32)
    else:
        return None
    return growth / visit.seconds if growth is not None and visit.seconds > 0 else None
