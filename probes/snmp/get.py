"""Single objects of a device, named one by one."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from core.config.reader import setting
from probes.declaration import Failure, Item, Reading, Visit, probe
from probes.device import at_device
from probes.snmp.oid import check_oid, parse_oid

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_AT_ONCE: Final = 30  # objects in one question, so that the answer fits into a datagram
_ITEMS: Final = (
    Item(key="snmp.value", unit="", description="A number the device holds", parameter="name"),
    Item(key="snmp.rate", unit="1/s", description="How fast a counter of the device grows", parameter="name"),
    Item(key="snmp.text", unit="", description="A text the device holds", parameter="name", type="text"),
)


@dataclass(frozen=True, kw_only=True)
class Object:
    """One object."""

    name: str = field(metadata=setting("its name in the items"))
    oid: str = field(metadata=setting("its object identifier in numbers, instance included", check=check_oid))
    type: Literal["number", "counter", "text"] = field(
        default="number", metadata=setting("number: snmp.value; counter: snmp.rate, a second; text: snmp.text")
    )
    unit: str = field(default="", metadata=setting("unit of what it counts"))
    factor: float = field(default=1.0, metadata=setting("what a number is multiplied with"))


def _check_some(objects: tuple[Object, ...]) -> str | None:
    names = [each.name for each in objects if each is not None]
    if not 0 < len(objects) <= 500 or len(set(names)) < len(names):
        return "expected 1 to 500 objects, each with its own name"
    return None


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Which objects to read."""

    objects: tuple[Object, ...] = field(metadata=setting("what to read: {name, oid, …}", check=_check_some))


@probe("snmp.get", items=_ITEMS, parameters=Parameters, timeout_seconds=30.0, polls="snmp")
async def read_objects(visit: Visit, parameters: Parameters) -> "AsyncIterator[Reading | Failure]":
    """Ask for all objects; one the device does not have is a failure, the rest stands."""
    from probes.snmp.session import open_session  # noqa: PLC0415 - only those who poll have pysnmp

    session = await open_session(at_device(visit))
    for first in range(0, len(parameters.objects), _AT_ONCE):
        asked = parameters.objects[first : first + _AT_ONCE]
        for each, value in zip(asked, await session.get([parse_oid(each.oid) for each in asked]), strict=False):
            yield _reading(each, value, visit)


def _reading(wanted: Object, value: float | str | None, visit: Visit) -> Reading | Failure:
    if value is None:
        return Failure(f"{wanted.name}: the device has no object {wanted.oid}")
    if wanted.type == "text":
        return Reading("snmp.text", value if isinstance(value, str) else f"{value:g}", wanted.name)
    try:
        number = float(value) * wanted.factor
    except ValueError:
        return Failure(f"{wanted.name}: {value!r:.60} is no number")
    if wanted.type == "counter":
        unit = f"{wanted.unit}/s" if wanted.unit else ""
        return Reading("snmp.rate", visit.rate(wanted.name, number), wanted.name, unit)
    return Reading("snmp.value", number, wanted.name, wanted.unit)
