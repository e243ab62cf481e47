"""The newest values of backup sets' items: as their hosts report them, and as restore stations do."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from server.api.item_key import split_key
from server.store.definitions import read_hosts_asked_for
from server.store.instants import to_datetime
from server.store.inventory import search_items

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from server.api.endpoint import Call
    from server.store.database import Connection
    from server.store.inventory import Item
    from server.store.latest import Latest

_PAGE = 2000
_MOST_ITEMS = 20_000


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


async def read_station_values(call: Call, probe: str) -> list[tuple[str, tuple[str, str], NewestValues]]:
    """Return what stations say in a probe's name: station, (host, set), values; by station and set.

    Only those whose templates ask for the probe are believed: a broken-in host proves nothing. Whoever may see the
    station: the caller shows sets he may see only.
    """
    async with call.services.database.connection() as connection:
        stations = await read_hosts_asked_for(connection, probe)
        items = await all_items(connection, f"{probe}.", stations) if stations else []
    latest = await call.services.latest.of_items(items)
    found: dict[tuple[str, str], dict[str, Latest]] = {}
    for item in items:
        name, parameter = split_key(item.key)
        newest = latest.get(item.id)
        if parameter is not None and newest is not None:
            found.setdefault((item.host, parameter), {})[name.removeprefix(f"{probe}.")] = newest
    told = []
    for (station, label), values in sorted(found.items()):
        host, slash, name = label.partition("/")
        if slash:
            told.append((station, (host, name), NewestValues(values)))
    return told
