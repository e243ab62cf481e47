"""Series for graphs: values as they came, or the hours' trends for long ranges, thinned with their peaks kept."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, Field

from server.api.endpoint import Answer, Asked, Call, Role, endpoint
from server.api.errors import ApiError, not_found
from server.api.items import ItemId
from server.api.scope import visible_hosts
from server.store.inventory import Item, read_births, read_items
from server.store.series import read_series
from server.store.thinning import Series

MAX_RANGE = timedelta(days=3660)
_SECONDS = 20.0


def _to_utc(at: datetime) -> datetime:
    """Bring an instant to UTC; the years are bounded because PostgreSQL and Python disagree about the far past."""
    if not 1970 <= at.year <= 2200:
        raise ValueError("expected a year from 1970 to 2200")
    return at.astimezone(UTC)


Instant = Annotated[AwareDatetime, AfterValidator(_to_utc)]


class HistoryQuery(Asked):
    """Which items, which range."""

    item: Annotated[list[ItemId], Field(min_length=1, max_length=20, description="An item's id; up to 20 times.")]
    begin: Instant = Field(alias="from", description="Begin of the range, with its offset from UTC.")
    end: Instant = Field(alias="to", description="End of the range, itself left out.")
    points: int = Field(
        500, ge=10, le=10_000, description="At most so many points a series; a day of every ten seconds is 8,640."
    )


class SeriesView(Answer):
    """A series in columns: instants in ms since 1970, and for each the mean, least and greatest value there.

    The item is known since `known_since`: before it nothing was missing.
    """

    item: int
    unit: str
    source: Literal["values", "trends"]
    known_since: int
    at: list[int]
    value: list[float | None]
    minimum: list[float | None]
    maximum: list[float | None]


class History(Answer):
    """One series an item, in the order asked for; items of texts and documents have empty ones."""

    series: list[SeriesView]


@endpoint("GET", "/history", role=Role.VIEWER, timeout_seconds=_SECONDS, failures=(404,))
async def show_history(call: Call, query: HistoryQuery) -> History:
    """Return the items' values in a range, thinned to `points` with their peaks kept."""
    if not timedelta() < query.end - query.begin <= MAX_RANGE:
        raise ApiError(
            400,
            "invalid",
            "query from, to: the range has to end after it begins, within ten years",
            remedy="Exchange `from` and `to`, or ask for a shorter range.",
        )
    visible = await visible_hosts(call)
    async with call.services.database.connection(_SECONDS) as connection:
        declared = await read_items(connection, query.item)
        items = {item.id: item for item in declared if visible is None or item.host in visible}
        wanted = list(dict.fromkeys(query.item))
        for item_id in wanted:
            if item_id not in items:
                raise not_found("item", item_id)
        numbers = [item_id for item_id in wanted if items[item_id].type == "number"]
        births = await read_births(connection, wanted)
        found = await read_series(connection, numbers, query.begin, query.end, query.points)
    return History(
        series=[_view(items[item_id], births.get(item_id, query.begin), found.get(item_id)) for item_id in wanted]
    )


def _view(item: Item, born_at: datetime, series: Series | None) -> SeriesView:
    known_since = int(born_at.timestamp() * 1000)
    if series is None:
        return SeriesView(
            item=item.id,
            unit=item.unit,
            source="values",
            known_since=known_since,
            at=[],
            value=[],
            minimum=[],
            maximum=[],
        )
    value = series.value.tolist()
    # Not checked again number by number, which took as long as reading them: what comes out of numpy has these types.
    return SeriesView.model_construct(
        item=item.id,
        unit=item.unit,
        source=series.source,
        known_since=known_since,
        at=(series.at_us // 1000).tolist(),
        value=value,
        minimum=value if series.minimum is series.value else series.minimum.tolist(),
        maximum=value if series.maximum is series.value else series.maximum.tolist(),
    )


ENDPOINTS = (show_history,)
