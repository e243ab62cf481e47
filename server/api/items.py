"""Items with their newest values."""

import json
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from server.api.endpoint import Answer, Asked, Call, Role, Word, endpoint
from server.api.errors import not_found
from server.api.item_key import split_key
from server.api.scope import visible_hosts
from server.inventory.keeping import read_retention
from server.store.instants import to_datetime
from server.store.inventory import Item, read_items, search_items
from server.store.latest import Latest

MAX_ID = 2**31 - 1
ItemId = Annotated[int, Field(ge=1, le=MAX_ID)]


class ItemQuery(Asked):
    """Which items."""

    host: Word | None = Field(None, description="Only this host's, by its exact name.")
    search: Word | None = Field(None, description="Only those whose key contains this text, in any case of letters.")
    limit: int = Field(200, ge=1, le=2000)
    after: int = Field(0, ge=0, le=MAX_ID, description="Go on after this item: `next` of the page before.")


class ItemView(Answer):
    """An item with its newest value: null while there is none, an object or a list of a structured item."""

    id: int
    host: str
    key: str
    name: str
    parameter: str | None
    type: str
    unit: str
    description: str
    value: float | str | dict[str, Any] | list[Any] | None
    at: datetime | None


class RetentionView(Answer):
    """How long an item's samples are kept, at most how many of them (null: any number), and how long its trends."""

    history_seconds: float
    samples: int | None
    trends_seconds: float


class ItemDetail(ItemView):
    """An item with its newest value and with what is kept of it."""

    retention: RetentionView


class ItemPath(Asked):
    """Which item."""

    id: ItemId


class ItemPage(Answer):
    """Some items; `next` is null on the last page."""

    items: list[ItemView]
    next: int | None


@endpoint("GET", "/items", role=Role.VIEWER)
async def list_items(call: Call, query: ItemQuery) -> ItemPage:
    """List items with their newest values."""
    visible = await visible_hosts(call)
    async with call.services.database.connection() as connection:
        found = await search_items(
            connection,
            host=query.host,
            search=query.search or "",
            after_id=query.after,
            limit=query.limit + 1,
            only_hosts=visible,
        )
    page = found[: query.limit]
    latest = await call.services.latest.of_items(page)
    # Checked all at once: a thousand models made one by one were a third of this answer's time.
    views = [_plain(item, latest.get(item.id)) for item in page]
    return ItemPage.model_validate({"items": views, "next": page[-1].id if len(found) > query.limit else None})


@endpoint("GET", "/items/{id}", role=Role.VIEWER)
async def show_item(call: Call, path: ItemPath) -> ItemDetail:
    """Show an item with its newest value and how long its history and trends are kept."""
    visible = await visible_hosts(call)
    async with call.services.database.connection() as connection:
        found = await read_items(connection, [path.id])
        if not found or (visible is not None and found[0].host not in visible):
            raise not_found("item", path.id)
        (item,) = found
        keep = (await read_retention(connection, item.host)).of(item.host, item.key)
    latest = await call.services.latest.of_items(found)
    retention = RetentionView(
        history_seconds=keep.history.total_seconds(),
        samples=keep.samples,
        trends_seconds=keep.trends.total_seconds(),
    )
    return ItemDetail(**_plain(item, latest.get(item.id)), retention=retention)


def _plain(item: Item, newest: Latest | None) -> dict[str, Any]:
    """Return the fields of an item's view."""
    name, parameter = split_key(item.key)
    return {
        "id": item.id,
        "host": item.host,
        "key": item.key,
        "name": name,
        "parameter": parameter,
        "type": item.type,
        "unit": item.unit,
        "description": item.description,
        "value": None if newest is None else plain_value(item, newest.value),
        "at": None if newest is None else to_datetime(newest.at_us),
    }


def plain_value(item: Item, value: float | str) -> Any:
    """Return a value as the API shows it: a structured one as the document it is."""
    return json.loads(value) if item.type == "structured" and isinstance(value, str) else value


ENDPOINTS = (list_items, show_item)
