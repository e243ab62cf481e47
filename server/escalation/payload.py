"""The content of a notice, the same for every medium; its form is documented in docs/webhooks.md."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from datetime import datetime

PAYLOAD_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """A problem that opened or was resolved.

    Instants are those of the samples. `value` is what the trigger saw at this event; `name` is the problem's, its
    placeholders filled in. `trigger` is the name within `template`, placeholders and all.
    """

    event: Literal["opened", "resolved"]
    problem_id: int
    host: str
    template: str
    trigger: str
    name: str
    parameter: str
    severity: str
    value: float | None
    opened_at: datetime
    resolved_at: datetime | None = None


def write_payload(happening: Happening) -> dict[str, Any]:
    """Return the payload as JSON values; numbers JSON has not (NaN, infinities) become null."""
    value = happening.value
    return {
        "version": PAYLOAD_VERSION,
        "event": happening.event,
        "problem": happening.problem_id,
        "name": happening.name,
        "host": happening.host,
        "template": happening.template,
        "trigger": happening.trigger,
        "parameter": happening.parameter,
        "severity": happening.severity,
        "value": value if value is not None and math.isfinite(value) else None,
        "opened_at": _write_instant(happening.opened_at),
        "resolved_at": None if happening.resolved_at is None else _write_instant(happening.resolved_at),
    }


def _write_instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
