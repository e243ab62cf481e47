"""What a proxy's poller says of the devices it asks: whether they answer, how fast, and what went wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from probes.declaration import Item, Reading

if TYPE_CHECKING:
    from collections.abc import Iterable

AVAILABLE: Final = Item(
    key="poll.available",
    unit="",
    description="1 when the device answered the proxy's last question, 0 when it did not",
    parameter="protocol",
)
LATENCY: Final = Item(
    key="poll.latency", unit="s", description="How long the device took for all of a probe", parameter="probe"
)
STATUS: Final = Item(
    key="poll.status",
    unit="",
    description="ok, or what went wrong in the probe's last run at the proxy",
    parameter="probe",
    type="text",
)
ITEMS: Final = (AVAILABLE, LATENCY, STATUS)


def status_reading(label: str, failures: Iterable[str]) -> tuple[Item, Reading]:
    """Return what the probe `label`'s last run says of itself: "ok", or its failures."""
    return STATUS, Reading(STATUS.key, "; ".join(failures) or "ok", label)
