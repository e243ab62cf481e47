"""Brings a file of history into the store: looked through whole first, and with any fault nothing is stored.

What is stored then goes in transactions of bounded size, each of which happens whole and twice without effect; so an
import that broke off is simply done again. It raises no events, and what was measured is not overwritten.
"""

from __future__ import annotations

import asyncio
import tempfile
import zlib
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from server.exchange.book import Book
from server.exchange.form import Faults
from server.exchange.registry import find_decoder
from server.exchange.shelf import Shelf
from server.inventory.keeping import read_retention
from server.store.audit import write_audit
from server.store.backfill import Backfilled, backfill_samples, backfill_texts, backfill_trends
from server.store.errors import StoreAway
from server.store.inventory import ItemDeclaration, ensure_hosts, ensure_items, read_hosts, read_items
from server.store.samples import Samples
from server.store.trends import Trends

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterator
    from typing import BinaryIO

    from core.runtime.clock import Clock
    from server.exchange.book import Settled
    from server.exchange.form import RowFault, Rows
    from server.store.database import Connection, Database

ROWS_AT_ONCE: Final = 200_000
TEXT_ROWS_AT_ONCE: Final = 5_000
TEXT_BYTES_AT_ONCE: Final = 8 << 20
AUDIT_ACTION: Final = "history.import"
_WRITE_SECONDS: Final = 60.0
_PATIENCE_SECONDS: Final = 300.0
_PAUSE_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """What is to be imported: a file from where it stands, its name for faults and the audit log, its form, by whom.

    `visible` are the names of the hosts whoever imports may see; None: every host, and new ones are made.
    """

    stream: BinaryIO
    name: str
    form: str
    by: str
    address: str = ""
    visible: Collection[str] | None = None


@dataclass(slots=True, kw_only=True)
class Imported:
    """What became of a file's rows: `stored`, `known` before, refused as `too_old` or `ahead` of now; or the faults."""

    rows: int = 0
    stored: int = 0
    known: int = 0
    too_old: int = 0
    ahead: int = 0
    hosts_made: int = 0
    items_made: int = 0
    faults: list[RowFault] = field(default_factory=list)
    fault_count: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the form in which the API and `--json` show it."""
        return asdict(self)


class ImportBrokenOff(Exception):
    """The database went away for long: `imported` is what was stored until then; the same import again goes on."""

    def __init__(self, imported: Imported, error: StoreAway) -> None:
        super().__init__(
            f"the import broke off after {imported.stored + imported.known} of its samples ({error}): import the file"
            " again; what is stored stays, and is not stored twice"
        )
        self.imported = imported


async def import_history(
    database: Database,
    wanted: Import,
    clock: Clock,
    told: Callable[[str, int], None] = lambda phase, at: None,  # noqa: ARG005
) -> Imported:
    """Import one file; `told` hears the phase, "checking" or "storing", and how many rows of it are done.

    Raises FormUnknown, StoreAway before anything is stored, ImportBrokenOff after.
    """
    decoder = find_decoder(wanted.form)
    faults = Faults(file=wanted.name)
    async with database.connection(_WRITE_SECONDS) as connection:
        book = Book(
            retention=await read_retention(connection), now_us=clock.now_us(), faults=faults, visible=wanted.visible
        )
        book.learn(await read_items(connection))
    imported = Imported()
    pieces = decoder(wanted.stream, faults)

    def judge_next() -> Settled | None:
        rows = _next_rows(pieces, faults)
        if rows is None:
            return None
        settled = book.settle(rows)
        shelf.put(settled)
        return settled

    with tempfile.TemporaryFile(buffering=1 << 20) as scratch:
        shelf = Shelf(scratch)
        while (settled := await asyncio.to_thread(judge_next)) is not None:
            imported.rows += len(settled.places) + settled.too_old + settled.ahead
            imported.too_old += settled.too_old
            imported.ahead += settled.ahead
            told("checking", imported.rows)
        if faults.count:
            return Imported(rows=imported.rows, faults=faults.found, fault_count=faults.count)
        ids = await _make_items(database, wanted, book, imported)
        store = _Store(database, clock, ids, [entry.type != "number" for entry in book.entries])
        try:
            kept = shelf.take()
            while (settled := await asyncio.to_thread(next, kept, None)) is not None:
                await store.add(settled)
                told("storing", store.done.stored + store.done.known)
            await store.flush()
        except StoreAway as error:
            imported.stored, imported.known = store.done.stored, store.done.known
            raise ImportBrokenOff(imported, error) from error
    imported.stored, imported.known = store.done.stored, store.done.known
    return imported


def _next_rows(pieces: Iterator[Rows], faults: Faults) -> Rows | None:
    try:
        return next(pieces, None)
    except (OSError, EOFError, zlib.error) as error:  # a compressed file that is damaged, or none
        faults.add(0, "", f"it cannot be read to its end ({error})", "Write the file again.")
        return None


async def _make_items(database: Database, wanted: Import, book: Book, imported: Imported) -> np.ndarray[Any, Any]:
    """Make the hosts and items that are missing, leave a line in the audit log, and return all items' ids by place."""
    fresh = book.fresh()
    async with database.connection(_WRITE_SECONDS) as connection, connection.transaction():
        there = {host.name for host in await read_hosts(connection)}
        hosts = await ensure_hosts(connection, {entry.host for entry in fresh})
        ensured = await ensure_items(
            connection,
            [
                ItemDeclaration(host_id=hosts[entry.host], key=entry.key, type=entry.type, unit=entry.unit)
                for entry in fresh
            ],
        )
        imported.hosts_made = len({entry.host for entry in fresh} - there)
        imported.items_made = len(fresh)
        detail = {"rows": imported.rows, "hosts_made": imported.hosts_made, "items_made": imported.items_made}
        await write_audit(
            connection, actor=wanted.by, action=AUDIT_ACTION, object_=wanted.name[:255], address=wanted.address,
            detail=detail,
        )  # fmt: skip
    ids = [entry.id or ensured.ids[hosts[entry.host], entry.key] for entry in book.entries]
    return np.array(ids or [0], dtype=np.int32)


class _Store:
    """Gathers rows and writes them when there are enough; `done` is what is committed."""

    def __init__(
        self, database: Database, clock: Clock, ids: np.ndarray[Any, np.dtype[np.int32]], are_texts: list[bool]
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._are_texts = np.array(are_texts or [False])
        self._held: list[Settled] = []
        self._count = 0
        self._texts: list[tuple[int, int, str]] = []
        self._text_bytes = 0
        self.done = Backfilled()

    async def add(self, settled: Settled) -> None:
        """Take rows in, and write when there are enough. Raises StoreAway after long."""
        for row, text in settled.texts.items():
            self._texts.append((int(self._ids[settled.places[row]]), int(settled.at_us[row]), text))
            self._text_bytes += len(text)
        if len(settled.texts) < len(settled.places):
            self._held.append(settled)
            self._count += len(settled.places)
        if self._count >= ROWS_AT_ONCE:
            await self._write_numbers()
        if len(self._texts) >= TEXT_ROWS_AT_ONCE or self._text_bytes >= TEXT_BYTES_AT_ONCE:
            await self._write_texts(is_last=False)

    async def flush(self) -> None:
        """Write what is left."""
        await self._write_numbers()
        await self._write_texts(is_last=True)

    async def _write_numbers(self) -> None:
        held, self._held, self._count = self._held, [], 0
        if not held:
            return
        places = np.concatenate([each.places for each in held])
        at_us = np.concatenate([each.at_us for each in held])
        numbers = {name: np.concatenate([each.numbers[name] for each in held]) for name in held[0].numbers}
        chosen = ~self._are_texts[places]
        items, at_us = self._ids[places[chosen]], at_us[chosen]
        numbers = {name: column[chosen] for name, column in numbers.items()}
        if "value" in numbers:
            samples = Samples(
                items=items, at_us=at_us, values=numbers["value"], late=np.ones(len(items), dtype=np.bool_)
            )
            await self._write(lambda connection: backfill_samples(connection, samples))
        else:
            trends, twice = _distinct(Trends(items=items, at_us=at_us, **numbers))
            await self._write(lambda connection: backfill_trends(connection, trends))
            self.done += Backfilled(known=twice)

    async def _write_texts(self, *, is_last: bool) -> None:
        """Write the texts; those of the last item and instant wait for more of it, unless none can come."""
        texts, self._texts, self._text_bytes = self._texts, [], 0
        if not is_last:
            last = texts[-1][:2]
            self._texts = [text for text in texts if text[:2] == last]
            texts = [text for text in texts if text[:2] != last]
        if texts:
            items, at_us, values = zip(*texts, strict=True)
            await self._write(lambda connection: backfill_texts(connection, items, at_us, values))

    async def _write(self, write: Callable[[Connection], Awaitable[Backfilled]]) -> None:
        """Write until it is written: packing may hold cold history for minutes, a database may be restarted."""
        deadline = self._clock.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                async with self._database.connection(_WRITE_SECONDS) as connection:
                    self.done += await write(connection)
                return
            except StoreAway:
                if self._clock.monotonic() > deadline:
                    raise
            await self._clock.sleep(_PAUSE_SECONDS)


def _distinct(trends: Trends) -> tuple[Trends, int]:
    """Return the hours, each item and hour once (the last one given), and how many were given twice."""
    order = np.lexsort((np.arange(len(trends.items)), trends.at_us, trends.items))
    items, at_us = trends.items[order], trends.at_us[order]
    is_last = np.ones(len(order), dtype=np.bool_)
    is_last[:-1] = (items[1:] != items[:-1]) | (at_us[1:] != at_us[:-1])
    chosen = order[is_last]
    columns = {name: getattr(trends, name)[chosen] for name in Trends.__slots__}
    columns["count"] = columns["count"].astype(np.int64)
    return Trends(**columns), len(order) - len(chosen)
