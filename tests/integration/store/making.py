"""Sources and items for the store's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from server.store.dictionary import DictionaryEntries, record_dictionaries
from server.store.inventory import ItemDeclaration, ensure_hosts, ensure_items
from server.store.peers import ensure_source

if TYPE_CHECKING:
    from server.store.database import Connection


async def make_source(connection: Connection) -> int:
    """Make a source of its own host and return its id."""
    name = uuid4().hex
    host = (await ensure_hosts(connection, [name]))[name]
    return (await ensure_source(connection, uuid4(), name, host)).id


async def declare_items(connection: Connection, source_id: int, count: int) -> list[int]:
    """Declare `count` numeric items of the source's host, in dictionary version 1 of its boot 1; return their ids."""
    row = await (await connection.execute("SELECT host_id FROM source WHERE id = %s", (source_id,))).fetchone()
    assert row is not None
    made = await ensure_items(
        connection, [ItemDeclaration(host_id=row[0], key=f"item[{place}]") for place in range(count)]
    )
    items = [made.ids[row[0], f"item[{place}]"] for place in range(count)]
    entries = DictionaryEntries(source_id=source_id, boot=1, version=1, numbers=range(1, count + 1), items=items)
    await record_dictionaries(connection, [entries])
    return items
