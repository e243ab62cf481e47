"""Runs of backup sets that are ordered: the row is the order, its id (host, set, due instant) the run's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from psycopg.rows import class_row

from server.store.latest import read_latest_texts

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from psycopg import AsyncConnection

State = Literal["ordered", "started", "ok", "failed", "refused", "expired", "cancelled"]

OPEN: Final = ("ordered", "started")
UNANSWERED: Final = "its host did not answer"
_COLUMNS = """id, host, set_name AS set, due_at, ordered_by, ordered_at, expires_at, claimed_epoch, cancelled_by,
    state, note, answered_at, limits"""
# Both unique indexes count: the same run is ordered once, and a set has one open order.
_ADD = f"""
INSERT INTO backup_order (host, set_name, due_at, ordered_by, expires_at) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING RETURNING {_COLUMNS}
"""  # noqa: S608 - constants of this file
_FIND = f"SELECT {_COLUMNS} FROM backup_order WHERE host = %s AND set_name = %s"  # noqa: S608 - as above
_CLAIM = f"""
UPDATE backup_order SET claimed_epoch = %s
WHERE state IN ('ordered', 'started') AND claimed_epoch IS DISTINCT FROM %s RETURNING {_COLUMNS}
"""  # noqa: S608 - as above
_ANSWER = """
UPDATE backup_order SET state = %(state)s, note = %(note)s, answered_at = now()
WHERE id = %(id)s AND state = ANY (%(before)s)
"""
_EXPIRE = f"""
UPDATE backup_order SET state = 'expired', answered_at = now(),
    note = CASE state WHEN 'ordered' THEN '{UNANSWERED}' ELSE 'its host never said how it ended' END
WHERE (state = 'ordered' AND now() > expires_at + interval '1 minute')
   OR (state = 'started' AND now() > expires_at + interval '2 days')
"""  # noqa: S608 - as above
_CANCEL = f"""
UPDATE backup_order SET cancelled_by = coalesce(cancelled_by, %s)
WHERE id = %s AND host = %s AND set_name = %s AND state IN ('ordered', 'started') RETURNING {_COLUMNS}
"""  # noqa: S608 - as above
_HAS_SET = """
SELECT EXISTS (SELECT FROM item i JOIN host h ON h.id = i.host_id
               WHERE h.name = %s AND i.key = 'backup.status[' || %s || ']')
"""
_PHASE_ITEM = """
SELECT i.id FROM item i JOIN host h ON h.id = i.host_id
WHERE i.type = 'text' AND h.name = %s AND i.key = 'backup.phase[' || %s || ']'
"""
_ANSWER_ITEMS = """
SELECT i.id, h.name, i.key FROM item i JOIN host h ON h.id = i.host_id
WHERE i.type = 'text' AND h.name = ANY (%s) AND i.key LIKE 'backup.order[%%'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupOrder:
    """An order and what became of it. `claimed_epoch`: the server that tells its host; `note`: why, in words.

    `limits`: those of which it holds a place; with one, the schedule wanted the run and a server let it begin.
    """

    id: int
    host: str
    set: str
    due_at: datetime
    ordered_by: str
    ordered_at: datetime
    expires_at: datetime
    claimed_epoch: int | None
    cancelled_by: str | None
    state: State
    note: str
    answered_at: datetime | None
    limits: list[str]

    @property
    def is_open(self) -> bool:
        """Whether its end is not known yet."""
        return self.state in OPEN


async def has_set(connection: AsyncConnection[Any], host: str, name: str) -> bool:
    """Tell whether the host ever said that it has this set."""
    row = await (await connection.execute(_HAS_SET, (host, name))).fetchone()
    return bool(row and row[0])


async def add_order(
    connection: AsyncConnection[Any], *, host: str, name: str, due_at: datetime, by: str, expires_at: datetime
) -> BackupOrder | None:
    """Order a run; None when this very run was ordered before, or another order of the set is open."""
    async with connection.cursor(row_factory=class_row(BackupOrder)) as cursor:
        return await (await cursor.execute(_ADD, (host, name, due_at, by, expires_at))).fetchone()


async def read_orders_of(connection: AsyncConnection[Any], host: str, name: str, limit: int = 20) -> list[BackupOrder]:
    """Return the orders of a set, the newest first."""
    async with connection.cursor(row_factory=class_row(BackupOrder)) as cursor:
        await cursor.execute(_FIND + " ORDER BY due_at DESC LIMIT %s", (host, name, limit))
        return await cursor.fetchall()


async def read_open_orders(connection: AsyncConnection[Any]) -> list[BackupOrder]:
    """Return every order whose end is not known."""
    async with connection.cursor(row_factory=class_row(BackupOrder)) as cursor:
        await cursor.execute(
            f"SELECT {_COLUMNS} FROM backup_order WHERE state IN ('ordered', 'started') ORDER BY id"  # noqa: S608 - as above
        )
        return await cursor.fetchall()


async def claim_orders(connection: AsyncConnection[Any], epoch: int) -> list[BackupOrder]:
    """Take the open orders over, within a transaction that holds the lease's epoch; return those that are new to it."""
    async with connection.cursor(row_factory=class_row(BackupOrder)) as cursor:
        return await (await cursor.execute(_CLAIM, (epoch, epoch))).fetchall()


async def answer_order(connection: AsyncConnection[Any], order: BackupOrder, state: str, note: str) -> None:
    """Write down what its host said of an order; what has ended stays ended."""
    before = ["ordered"] if state == "started" else list(OPEN)
    await connection.execute(_ANSWER, {"id": order.id, "state": state, "note": note, "before": before})


async def expire_orders(connection: AsyncConnection[Any]) -> int:
    """Give up orders nobody answered in time; return how many."""
    return (await connection.execute(_EXPIRE)).rowcount


async def cancel_order(
    connection: AsyncConnection[Any], order_id: int, host: str, name: str, by: str
) -> BackupOrder | None:
    """Wish that a run ends, or never begins; None when there is no such open order. Again changes nothing."""
    async with connection.cursor(row_factory=class_row(BackupOrder)) as cursor:
        return await (await cursor.execute(_CANCEL, (by, order_id, host, name))).fetchone()


async def read_answer_items(connection: AsyncConnection[Any], hosts: Collection[str]) -> dict[tuple[str, str], int]:
    """Return the items by which hosts answer orders: their ids by (host, set)."""
    rows = await (await connection.execute(_ANSWER_ITEMS, (list(hosts),))).fetchall()
    return {(host, key.removeprefix("backup.order[").removesuffix("]")): item for item, host, key in rows}


async def read_phase(connection: AsyncConnection[Any], host: str, name: str) -> str | None:
    """Return what the run of a set does now, as its host said last."""
    cursor = await connection.execute(_PHASE_ITEM, (host, name))
    row = await cursor.fetchone()
    found = {} if row is None else await read_latest_texts(connection, [row[0]])
    value = next(iter(found.values())).value if found else None
    return value if isinstance(value, str) and value else None
