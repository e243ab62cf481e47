"""What the live feed looks up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from core.wire.feed_message import topic_of
from server.feed.topics import Topics
from server.store.errors import StoreAway
from server.store.inventory import ItemDeclaration, ensure_hosts, ensure_items

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from server.store.database import Database


async def learn_while_the_connection_is_cut(database: Database, topics: Topics, items: NDArray[np.int32]) -> None:
    async with database.connection() as connection, database.connection() as other:
        await other.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
        await topics.learn(connection, topics.unknown(items))


async def test_what_could_not_be_looked_up_is_asked_for_again(database: Database) -> None:
    """Else who listens while the database is away hears nothing of those items until somebody subscribes anew."""
    async with database.connection() as connection:
        host = (await ensure_hosts(connection, ["h"]))["h"]
        declared = ItemDeclaration(host_id=host, key="load", type="number", unit="", description="")
        item = (await ensure_items(connection, [declared])).ids[host, "load"]
    items, topics = np.array([item], np.int32), Topics()
    topics.want(frozenset({topic_of("h", "load").encode()}))
    with pytest.raises(StoreAway):
        await learn_while_the_connection_is_cut(database, topics, items)
    assert topics.unknown(items) == [item]
    async with database.connection() as connection:
        await topics.learn(connection, topics.unknown(items))
    assert topics.wanted(items).tolist() == [True]
