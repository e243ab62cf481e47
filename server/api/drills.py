"""What restore stations say of their drills, set by set: only those whose templates ask for it are believed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from server.api.endpoint import Answer
from server.api.item_key import split_key
from server.store.definitions import read_hosts_asked_for
from server.store.instants import to_datetime
from server.store.inventory import search_items

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from server.api.endpoint import Call
    from server.store.database import Connection
    from server.store.inventory import Item
    from server.store.latest import Latest

DrillStatus = Literal["proven", "running", "failed", "never"]

_STATUS: tuple[DrillStatus, ...] = ("proven", "running", "failed", "never")
_PAGE = 2000
_MOST_ITEMS = 20_000


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


class NewestValues:
    """The newest values of one set's items by the end of their key, typed."""

    def __init__(self, found: Mapping[str, Latest]) -> None:
        self._found = found

    def number(self, key: str) -> float | None:
        """Return a number, None when there is none."""
        value = self._found[key].value if key in self._found else None
        return value if isinstance(value, float) else None

    def text(self, key: str) -> str | None:
        """Return a text that is not empty."""
        value = self._found[key].value if key in self._found else None
        return value if isinstance(value, str) and value else None

    def instant(self, key: str) -> datetime | None:
        """Return when something was whose age is the value."""
        seconds = self.number(key)
        return None if seconds is None else to_datetime(self._found[key].at_us) - timedelta(seconds=seconds)


async def all_items(connection: Connection, prefix: str, only_hosts: Collection[str] | None) -> list[Item]:
    """Return the items whose keys begin with `prefix`, on these hosts (None: all), 20,000 at most."""
    items: list[Item] = []
    after = 0
    while len(items) < _MOST_ITEMS:
        page = await search_items(
            connection, host=None, search=prefix, after_id=after, limit=_PAGE, only_hosts=only_hosts
        )
        items += [item for item in page if item.key.startswith(prefix)]
        if len(page) < _PAGE:
            break
        after = page[-1].id
    return items


async def read_drills(call: Call) -> dict[tuple[str, str], DrillView]:
    """Return how drills stand by (host, set), whoever may see the station: the caller shows sets he may see only.

    Where two stations prove one set, the later proof counts.
    """
    async with call.services.database.connection() as connection:
        stations = await read_hosts_asked_for(connection, "drill")
        items = await all_items(connection, "drill.", stations) if stations else []
    latest = await call.services.latest.of_items(items)
    found: dict[tuple[str, str], dict[str, Latest]] = {}
    for item in items:
        name, parameter = split_key(item.key)
        newest = latest.get(item.id)
        if parameter is not None and newest is not None:
            found.setdefault((item.host, parameter), {})[name.removeprefix("drill.")] = newest
    views: dict[tuple[str, str], DrillView] = {}
    for (station, label), values in sorted(found.items()):
        host, slash, name = label.partition("/")
        view = _view(station, NewestValues(values))
        known = views.get((host, name))
        if slash and view is not None and (known is None or _is_later(view, known)):
            views[host, name] = view
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
