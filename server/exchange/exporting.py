"""Writes the history of any selection of items as one file, piece by piece in bounded memory."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.exchange.registry import make_encoder
from server.inventory.key_pattern import fits
from server.store.groups import read_hosts_in
from server.store.inventory import read_items
from server.store.paging import page_samples, page_trends

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Sequence
    from datetime import datetime

    from server.exchange.form import Kind
    from server.store.database import Database
    from server.store.inventory import Item


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which items: on hosts whose name fits one of the patterns and in one of the groups, whose key fits one.

    Empty: all. `visible` are the names of the hosts whoever asks may see, None: every host.
    """

    hosts: Sequence[str] = ()
    groups: Sequence[str] = ()
    items: Sequence[str] = ()
    visible: Collection[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is wanted of the items, [begin, end), in which form."""

    kind: Kind
    form: str
    begin: datetime
    end: datetime


async def select_items(database: Database, selection: Selection) -> list[Item]:
    """Return the items by host and key."""
    async with database.connection(60.0) as connection:
        grouped = await read_hosts_in(connection, selection.groups) if selection.groups else None
        items = await read_items(connection)
    hosts = {
        host
        for host in {item.host for item in items}
        if (grouped is None or host in grouped)
        and (selection.visible is None or host in selection.visible)
        and _fits_one(selection.hosts, host)
    }
    chosen = [item for item in items if item.host in hosts and _fits_one(selection.items, item.key)]
    return sorted(chosen, key=lambda item: (item.host, item.key))


def _fits_one(patterns: Sequence[str], text: str) -> bool:
    return not patterns or any(fits(pattern, text) for pattern in patterns)


async def export(
    database: Database,
    items: Sequence[Item],
    order: Order,
    told: Callable[[int], None] = lambda rows: None,  # noqa: ARG005
) -> AsyncIterator[bytes]:
    """Yield the file piece by piece; `told` hears how many rows each piece adds. Raises FormUnknown, StoreAway.

    The rows of an item come in the order of their instants; what is stored meanwhile may or may not be among them.
    """
    encoder = make_encoder(order.form, order.kind)
    yield encoder.head()
    if order.kind == "samples":
        async for samples in page_samples(database, items, order.begin, order.end):
            yield await asyncio.to_thread(encoder.samples, samples)
            told(len(samples.at_us))
    else:
        async for hours in page_trends(database, items, order.begin, order.end):
            yield await asyncio.to_thread(encoder.trends, hours)
            told(len(hours.trends.at_us))
    yield await asyncio.to_thread(encoder.tail)
