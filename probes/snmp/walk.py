"""Any table of a device, discovered by walking it: its rows named by one column, its values from others."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from core.config.reader import setting
from probes.declaration import Failure, Item, Reading, Visit, probe
from probes.device import DeviceVisit, at_device
from probes.patterns import Choice, check_patterns
from probes.snmp.get import Object
from probes.snmp.oid import check_oid, parse_oid

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from probes.snmp.oid import Value

_ITEMS: Final = (
    Item(key="snmp.table.value", unit="", description="A number of a table's row", parameter="column: row"),
    Item(key="snmp.table.rate", unit="1/s", description="How fast a row's counter grows", parameter="column: row"),
    Item(key="snmp.table.text", unit="", description="A text of a table's row", parameter="column: row", type="text"),
)


def _check_some(columns: tuple[Object, ...]) -> str | None:
    names = [each.name for each in columns if each is not None]
    if not 0 < len(columns) <= 50 or len(set(names)) < len(names):
        return "expected 1 to 50 columns, each with its own name"
    return None


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Which table to read."""

    row_name: str | None = field(
        default=None,
        metadata=setting("object identifier of the column that names the rows; left out: their index", check=check_oid),
    )
    columns: tuple[Object, ...] = field(metadata=setting("what to read: {name, oid, …}", check=_check_some))
    include: tuple[str, ...] = field(
        default=(), metadata=setting("regular expressions of rows' names; empty: all", check=check_patterns)
    )
    exclude: tuple[str, ...] = field(
        default=(), metadata=setting("regular expressions of rows' names left out", check=check_patterns)
    )


@probe("snmp.walk", items=_ITEMS, parameters=Parameters, timeout_seconds=60.0, polls="snmp")
async def read_table(visit: Visit, parameters: Parameters) -> "AsyncIterator[Reading | Failure]":
    """Walk the table; every chosen row announces itself as `column: row`."""
    from probes.snmp.session import open_session  # noqa: PLC0415 - only those who poll have pysnmp

    at = at_device(visit)
    session = await open_session(at)
    naming = None if parameters.row_name is None else parse_oid(parameters.row_name)
    columns = {parse_oid(column.oid): column for column in parameters.columns}
    table = await session.walk([*columns, *([naming] if naming is not None and naming not in columns else [])])
    choice = Choice(include=parameters.include, exclude=parameters.exclude)
    taken: set[str] = set()
    for index, row in sorted(table.items()):
        number = ".".join(map(str, index))
        name = number if naming is None else _name(row.get(naming)) or number
        if name in taken:
            name = f"{name}#{number}"
        taken.add(name)
        if not choice.takes(name):
            continue
        for oid, column in columns.items():
            if (value := row.get(oid)) is not None:
                yield _reading(column, name, value, at)
    if not table:
        yield Failure("the device has none of the table's columns")


def _name(value: "Value") -> str:
    return f"{value:g}" if isinstance(value, float) else str(value or "")


def _reading(column: Object, row: str, value: float | str, visit: DeviceVisit) -> Reading | Failure:
    parameter = f"{column.name}: {row}"
    if column.type == "text":
        return Reading("snmp.table.text", _name(value), parameter)
    try:
        number = float(value) * column.factor
    except ValueError:
        return Failure(f"{parameter}: {value!r:.60} is no number")
    if column.type == "counter":
        unit = f"{column.unit}/s" if column.unit else ""
        return Reading("snmp.table.rate", visit.rate(parameter, number), parameter, unit)
    return Reading("snmp.table.value", number, parameter, column.unit)
