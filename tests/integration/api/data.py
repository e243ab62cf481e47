"""What other parts would have stored: hosts, items, samples, problems."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np

from server.inventory.apply import apply, check_documents, propose
from server.inventory.check import documents_from_plain
from server.store.batches import BatchColumns, TextSample, copy_batches, copy_texts
from server.store.definitions import Author
from server.store.inventory import ItemDeclaration, ensure_hosts, ensure_items
from server.store.outbox import Notice, enqueue
from server.store.problems import (
    ProblemOpening,
    ProblemResolution,
    ensure_triggers,
    open_problems,
    resolve_problems,
)
from server.store.received import ReceivedDelta, record_received

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from server.store.database import Database
    from server.store.problems import ProblemEvent

BOOT = 77


@dataclass(frozen=True)
class StoredHost:
    """A host with one source; `items` are ids by key."""

    id: int
    name: str
    source: int
    items: dict[str, int]


async def store_host(database: Database, name: str, *items: ItemDeclaration | str) -> StoredHost:
    """Store a host, its source and its items (a key alone declares a number)."""
    async with database.connection() as connection, connection.transaction():
        host = (await ensure_hosts(connection, [name]))[name]
        cursor = await connection.execute(
            "INSERT INTO source (uuid, name, host_id) VALUES (%s, %s, %s) RETURNING id",
            (UUID(int=host), name, host),
        )
        row = await cursor.fetchone()
        assert row is not None
        declared = [
            ItemDeclaration(host_id=host, key=item)
            if isinstance(item, str)
            else ItemDeclaration(
                host_id=host, key=item.key, type=item.type, unit=item.unit, description=item.description
            )
            for item in items
        ]
        ids = (await ensure_items(connection, declared)).ids
        await connection.execute("INSERT INTO item_source SELECT unnest(%s::int4[]), %s", (list(ids.values()), row[0]))
        await record_received(connection, [ReceivedDelta(source_id=row[0], boot=BOOT)])
    return StoredHost(id=host, name=name, source=row[0], items={key: item for (_, key), item in ids.items()})


async def store_values(
    database: Database, host: StoredHost, key: str, at_us: Sequence[int], values: Sequence[float], number: int = 1
) -> None:
    """Store samples of an item in one batch; the instants rise and lie within half an hour."""
    batch = BatchColumns(
        source_id=host.source,
        boot=BOOT,
        number=number,
        first_at_us=at_us[0],
        items=np.full(len(at_us), host.items[key], np.int32),
        offsets=(np.asarray(at_us, np.int64) - at_us[0]).astype(np.int32),
        values=np.asarray(values, np.float64),
    )
    async with database.connection() as connection:
        await copy_batches(connection, [batch])


async def store_text(database: Database, host: StoredHost, key: str, at_us: int, text: str) -> None:
    """Store a text sample."""
    sample = TextSample(source_id=host.source, boot=BOOT, number=1, item_id=host.items[key], at_us=at_us, value=text)
    async with database.connection() as connection:
        await copy_texts(connection, [sample])


async def store_problem(database: Database, host: StoredHost, trigger: str, at: datetime, **more: Any) -> ProblemEvent:
    """Store an open problem."""
    async with database.connection() as connection, connection.transaction():
        triggers = await ensure_triggers(connection, [("linux-host", trigger)])
        opening = ProblemOpening(
            trigger_id=triggers["linux-host", trigger],
            host_id=host.id,
            parameter=more.get("parameter", ""),
            severity=more.get("severity", "warning"),
            name=more.get("name", trigger),
            at=at,
            value=more.get("value", 91.5),
        )
        (event,) = await open_problems(connection, [opening])
    return event


async def resolve_problem(database: Database, event: ProblemEvent, at: datetime) -> None:
    """Resolve a problem."""
    async with database.connection() as connection, connection.transaction():
        await resolve_problems(connection, [ProblemResolution(problem_id=event.problem_id, at=at, value=1.0)])


async def store_notice(database: Database, event: ProblemEvent, receiver: str) -> None:
    """Owe a receiver a message about an event."""
    async with database.connection() as connection:
        await enqueue(
            connection, [Notice(event_id=event.event_id, receiver=receiver, media="webhook", payload={"text": "x"})]
        )


async def define(database: Database, *documents: dict[str, Any]) -> None:
    """Make definitions hold, as the page would."""
    proposal = await propose(database, check_documents(documents_from_plain(list(documents))), via="web")
    await apply(database, proposal, Author(name="test", via="web"))


async def define_hosts(database: Database, groups: Mapping[str, Sequence[str]]) -> None:
    """Define hosts in their groups."""
    await define(database, *({"kind": "host", "name": name, "groups": list(each)} for name, each in groups.items()))
