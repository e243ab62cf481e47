"""Slices of the sliced tables, native partitions or Timescale's chunks: made ahead, listed, dropped whole."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from psycopg import sql

from server.store.instants import EPOCH

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from server.store.database import Connection

HAS_TIMESCALE = "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'"
NATIVE_SLICES = """
SELECT n.nspname, c.relname, pg_get_expr(c.relpartbound, c.oid)
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE i.inhparent = %s::regclass ORDER BY c.relname
"""
TIMESCALE_SLICES = """
SELECT chunk_schema, chunk_name, range_start, range_end FROM timescaledb_information.chunks
WHERE hypertable_name = %s ORDER BY range_start
"""
# Waiting writers queue behind a lock request on the parent, so it gives up soon and the next round tries again.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '1s'"
_SLICE_LOCK = 0x534C494345  # "SLICE"


@dataclass(frozen=True, slots=True)
class SlicedTable:
    """A table and how long one of its slices is; the same lengths stand in the migration."""

    name: str
    length: timedelta


BATCHES = SlicedTable("history_batch", timedelta(hours=1))
TEXTS = SlicedTable("history_text", timedelta(days=1))
HISTORY = SlicedTable("history", timedelta(days=7))
PACKED = SlicedTable("history_packed", timedelta(days=7))
TRENDS = SlicedTable("trends", timedelta(days=91))
STORED_BY_ARRIVAL = (BATCHES, TEXTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One slice of a table: rows whose slicing instant is in [begin, end); both None for the default partition."""

    table: SlicedTable
    schema: str
    relation: str
    begin: datetime | None
    end: datetime | None

    @property
    def identifier(self) -> sql.Identifier:
        """The slice's own table."""
        return sql.Identifier(self.schema, self.relation)

    def is_closed(self, now: datetime, margin: timedelta = timedelta(minutes=1)) -> bool:
        """Tell whether nothing is stored into it any more. The default partition is never closed."""
        return self.end is not None and self.end + margin <= now


async def timescale_version(connection: Connection) -> str | None:
    """Return the version of TimescaleDB in this database, None on plain PostgreSQL."""
    row = await (await connection.execute(HAS_TIMESCALE)).fetchone()
    return None if row is None else str(row[0])


def slice_begin(table: SlicedTable, at: datetime) -> datetime:
    """Return the begin of the slice that holds `at`; slices are counted from 1970."""
    return EPOCH + (at - EPOCH) // table.length * table.length


async def ensure_slices(connection: Connection, table: SlicedTable, instants: Iterable[datetime]) -> list[str]:
    """Make the slices that hold these instants where they are missing; return the names of those made.

    TimescaleDB makes its own. Each is a transaction of its own that locks the table for a moment (StoreBusy after 1 s).
    An instant whose default partition already holds rows of that slice is left to the default partition.
    """
    if await timescale_version(connection) is not None:
        return []
    there = {each.relation for each in await read_slices(connection, table)}
    made = []
    for begin in sorted({slice_begin(table, at) for at in instants}):
        name = f"{table.name}_{begin:%Y%m%d%H}"
        if name not in there and await _make(connection, table, name, begin):
            made.append(name)
    return made


async def _make(connection: Connection, table: SlicedTable, name: str, begin: datetime) -> bool:
    column = "stored_at" if table in STORED_BY_ARRIVAL else "at"
    end = begin + table.length
    async with connection.transaction():
        await connection.execute(LOCK_TIMEOUT)
        # Packing and a backfill may want the same slice at once: the second finds it made.
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_SLICE_LOCK,))
        cursor = await connection.execute(
            sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {column} >= {begin} AND {column} < {end})").format(
                sql.Identifier(f"{table.name}_default"),
                column=sql.Identifier(column),
                begin=sql.Literal(begin),
                end=sql.Literal(end),
            )
        )
        row = await cursor.fetchone()
        if row is not None and row[0]:
            return False
        await connection.execute(
            sql.SQL("CREATE TABLE IF NOT EXISTS {} PARTITION OF {} FOR VALUES FROM ({}) TO ({})").format(
                sql.Identifier(name), sql.Identifier(table.name), sql.Literal(begin), sql.Literal(end)
            )
        )
    return True


async def ensure_open_slices(connection: Connection, now: datetime) -> list[str]:
    """Make the slices that what arrives now and soon is stored into."""
    made = []
    for table in STORED_BY_ARRIVAL:
        made += await ensure_slices(connection, table, [now, now + table.length, now + 2 * table.length])
    return made


async def read_slices(connection: Connection, table: SlicedTable) -> Sequence[Slice]:
    """Return the table's slices by time; on plain PostgreSQL the default partition comes last."""
    if await timescale_version(connection) is not None:
        rows = await (await connection.execute(TIMESCALE_SLICES, (table.name,))).fetchall()
        return [
            Slice(table=table, schema=schema, relation=relation, begin=begin, end=end)
            for schema, relation, begin, end in rows
        ]
    rows = await (await connection.execute(NATIVE_SLICES, (table.name,))).fetchall()
    return sorted((_native(table, *row) for row in rows), key=lambda each: (each.begin is None, each.begin or EPOCH))


def _native(table: SlicedTable, schema: str, relation: str, bound: str) -> Slice:
    begin = end = None
    if bound != "DEFAULT":  # FOR VALUES FROM ('2026-01-01 00:00:00+00') TO ('2026-01-01 01:00:00+00'), in UTC
        begin, end = (datetime.fromisoformat(text).astimezone(UTC) for text in bound.split("'")[1::2])
    return Slice(table=table, schema=schema, relation=relation, begin=begin, end=end)


async def drop_slice(connection: Connection, dropped: Slice) -> None:
    """Drop a slice whole, in a transaction of its own that gives up after a second (StoreBusy: try again later)."""
    async with connection.transaction():
        await connection.execute(LOCK_TIMEOUT)
        await drop_slice_within(connection, dropped)


async def drop_slice_within(connection: Connection, dropped: Slice) -> None:
    """Drop a slice within the caller's transaction; the default partition is emptied instead."""
    if dropped.begin is None:
        await connection.execute(sql.SQL("TRUNCATE {}").format(dropped.identifier))
    elif await timescale_version(connection) is not None:
        parameters: tuple[Any, ...] = (dropped.table.name, dropped.end, dropped.begin)
        await connection.execute("SELECT drop_chunks(%s::regclass, older_than => %s, newer_than => %s)", parameters)
    else:
        await connection.execute(sql.SQL("DROP TABLE {}").format(dropped.identifier))
