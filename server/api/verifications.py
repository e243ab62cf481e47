"""What restore stations say of their verifications, set by set: only those whose templates ask for it are believed."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from server.api.endpoint import Answer, Call
from server.api.set_values import NewestValues, read_station_values

VerificationStatus = Literal["whole", "running", "damaged", "never", "failed"]

_STATUS: tuple[VerificationStatus, ...] = ("whole", "running", "damaged", "never", "failed")


class VerificationView(Answer):
    """Whether what lies at a set's targets is what was sent there, as its restore station found."""

    station: str = Field(description="The host whose agent verifies.")
    status: VerificationStatus
    verified_at: datetime | None = Field(
        description="When every copy was last found whole, as deep as the station's schedule wants."
    )
    overdue_seconds: float | None
    depth: str | None = Field(description="How deep the station wants it: stored, sampled, read or decrypted.")
    lost_points: float | None = Field(description="Restore points that the damage found costs.")
    unlisted_points: float | None = Field(
        description="Restore points that come back, but whose lists of files are damaged."
    )
    damaged_logs: float | None = Field(
        description="Archived WAL and binary logs that are damaged or missing and cost moments between restore points."
    )
    error: str | None


async def read_verifications(call: Call) -> dict[tuple[str, str], VerificationView]:
    """Return how verifications stand by (host, set).

    Where two stations verify one set, the one that found damage counts, else the later.
    """
    views: dict[tuple[str, str], VerificationView] = {}
    for station, key, values in await read_station_values(call, "verification"):
        view, known = _view(station, values), views.get(key)
        if view is not None and (known is None or _rank(view) > _rank(known)):
            views[key] = view
    return views


def _rank(view: VerificationView) -> tuple[bool, float]:
    return view.status == "damaged", 0.0 if view.verified_at is None else view.verified_at.timestamp()


def _view(station: str, values: NewestValues) -> VerificationView | None:
    code = values.number("status")
    if code is None:
        return None
    return VerificationView(
        station=station,
        status=_STATUS[int(code)] if 0 <= code < len(_STATUS) else "failed",
        verified_at=values.instant("verified_age_seconds"),
        overdue_seconds=values.number("overdue_seconds"),
        depth=values.text("depth"),
        lost_points=values.number("lost_points"),
        unlisted_points=values.number("unlisted_points"),
        damaged_logs=values.number("damaged_logs"),
        error=values.text("error"),
    )
