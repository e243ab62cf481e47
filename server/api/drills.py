"""What restore stations say of their drills, set by set: only those whose templates ask for it are believed."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from server.api.endpoint import Answer
from server.api.set_values import read_station_values

if TYPE_CHECKING:
    from server.api.endpoint import Call
    from server.api.set_values import NewestValues

DrillStatus = Literal["proven", "running", "failed", "never"]

_STATUS: tuple[DrillStatus, ...] = ("proven", "running", "failed", "never")


class DrillView(Answer):
    """How a set's drills stand at its restore station; sizes and durations are of the last that proved it."""

    station: str = Field(description="The host whose agent runs the drills.")
    status: DrillStatus
    proven_at: datetime | None
    proven_point: datetime | None = Field(description="The restore point that was proven.")
    overdue_seconds: float | None
    duration_seconds: float | None
    restored_bytes: float | None
    restored_per_second: float | None
    restore_seconds: float | None = Field(description="How long restoring the newest restore point will take.")
    restore_over_seconds: float | None = Field(description="How much longer that is than restore_within allows.")
    evidence: str | None
    error: str | None


async def read_drills(call: Call) -> dict[tuple[str, str], DrillView]:
    """Return how drills stand by (host, set). Where two stations prove one set, the later proof counts."""
    views: dict[tuple[str, str], DrillView] = {}
    for station, key, values in await read_station_values(call, "drill"):
        view, known = _view(station, values), views.get(key)
        if view is not None and (known is None or _is_later(view, known)):
            views[key] = view
    return views


def _is_later(one: DrillView, other: DrillView) -> bool:
    return one.proven_at is not None and (other.proven_at is None or one.proven_at > other.proven_at)


def _view(station: str, values: NewestValues) -> DrillView | None:
    code = values.number("status")
    if code is None:
        return None
    return DrillView(
        station=station,
        status=_STATUS[int(code)] if 0 <= code < len(_STATUS) else "failed",
        proven_at=values.instant("proven_age_seconds"),
        proven_point=_instant(values.text("proven_point")),
        overdue_seconds=values.number("overdue_seconds"),
        duration_seconds=values.number("duration_seconds"),
        restored_bytes=values.number("restored_bytes"),
        restored_per_second=values.number("restored_per_second"),
        restore_seconds=values.number("restore_seconds"),
        restore_over_seconds=values.number("restore_over_seconds"),
        evidence=values.text("evidence"),
        error=values.text("error"),
    )


def _instant(text: str | None) -> datetime | None:
    """Return an instant an agent told; None for what is none."""
    try:
        at = None if text is None else datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if at is None or at.tzinfo is None else at
