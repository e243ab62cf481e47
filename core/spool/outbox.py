"""The outbox: a source's numbering over a spool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.model.item import ItemDescription
from core.model.ranges import RangeSet
from core.model.record import (
    MAX_BOOT,
    Kind,
    Origin,
    new_boot,
    pack_closing,
    pack_dictionary,
    pack_lost,
    pack_texts,
    pack_values,
    read_header,
    renumber,
)
from core.runtime.logging import Log
from core.spool.faults import SpoolFault, SpoolFull
from core.spool.item_book import FILE_NAME, ItemBook
from core.spool.lineage import Seen, has_another_past
from core.spool.spool import Spool

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from pathlib import Path
    from uuid import UUID

    from core.model.record import ItemEntry
    from core.runtime.clock import Clock
    from core.spool.spool import SpoolLimits

__all__ = ["ItemDescription", "Outbox"]

_ENTRY_OVERHEAD_BYTES = 32
_DICTIONARY_BYTES = 512 * 1024
_LOST_ENTRIES = 10_000
_MOVE_BYTES = 256 * 1024
# dropping frees a little more than the batch needs, for the record that says what was dropped
_LOST_ALLOWANCE_BYTES = 4096
log = Log("outbox")


class Outbox:
    """What a source publishes, numbered, on disk before it is sent.

    Invariants: numbers of a boot are issued in order without a gap, each once; the first record of a boot is its full
    dictionary; a number that was issued and is dropped is announced as LOST before its record is deleted. LOST says
    "I have it no more", so a record that arrives by another way after it is to be stored all the same.
    """

    def __init__(self, source: UUID, spool: Spool, book: ItemBook, clock: Clock) -> None:
        """Private: use `open`."""
        self.source = source
        self.spool = spool
        self.boot = new_boot()
        self.last_number = 0
        self.dictionary_version = 0
        self.lost_records = 0
        self.unpublished_batches = 0
        self._clock = clock
        self._book = book
        self._old_boots = {
            boot: ranges.highest for (owner, boot), ranges in spool.unstored().items() if owner == source.bytes
        }
        self._unannounced: dict[int, RangeSet] = {}
        self._unnumbered_batches = 0
        self._seen_damages = 0
        self._displaced: list[int] = []
        self._has_begun = False
        self._owes_ends = False
        self._is_closed = False

    @classmethod
    def open(cls, folder: Path, source: UUID, limits: SpoolLimits, clock: Clock) -> Outbox:
        """Open the folder, begin a new boot and announce the end of the boots found there.

        When the disk is full the boot begins with the first batch for which there is room. Raises SpoolFault when
        another process has the folder or it cannot be read.
        """
        spool = Spool.open(folder, limits, clock.monotonic)
        try:
            book = ItemBook(folder / FILE_NAME)
        except OSError as error:
            spool.close()
            raise SpoolFault.during("read the item numbers", folder, error) from error
        outbox = cls(source, spool, book, clock)
        try:
            outbox._pay_debts()
        except SpoolFault as fault:
            log.warning("The outbox cannot announce itself yet", error=fault)
        return outbox

    def describe(self, entries: Sequence[ItemDescription]) -> list[int]:
        """Return the item numbers of `entries`, in their order; new or changed ones are announced in the stream.

        Raises SpoolFault, and then nothing was announced; RecordError when a description is far too long.
        """
        numbers, fresh = self._book.look_up(entries)
        if fresh:
            self._pay_debts()
            self._book.save_with(fresh)
            self._announce(fresh)
            self._book.accept(fresh)
        return numbers

    def repeat(self, hosts: Collection[str]) -> None:
        """Announce the items of these hosts once more: a server that refused them before may take them now.

        Raises SpoolFault.
        """
        known = [entry for entry in self._book.entries if entry.host in hosts]
        if known:
            self._pay_debts()
            self._announce(known)

    def publish(self, items: array[int], instants: Sequence[int], values: array[float]) -> int:
        """Append a batch of numbers: array('I') of item numbers, µs since 1970 UTC, array('d'); return its number.

        A full spool drops its oldest batches (those a proxy has first) and announces them as LOST. Raises RecordError
        for columns that make no batch; SpoolFault or SpoolFull when it cannot be appended: then the batch is lost, and
        is announced as LOST under a number of its own as soon as appending works again.
        """
        return self._publish(
            lambda origin, number: pack_values(origin, number, self.dictionary_version, items, instants, values)
        )

    def publish_texts(self, items: Sequence[int], instants: Sequence[int], texts: Sequence[str]) -> int:
        """Append a batch of texts; return its number. As `publish`."""
        return self._publish(
            lambda origin, number: pack_texts(origin, number, self.dictionary_version, items, instants, texts)
        )

    def miss(self) -> None:
        """Note a batch that could not even be described: announced as LOST, as one that `publish` refused."""
        self._unnumbered_batches += 1
        self.unpublished_batches += 1

    def held_boots(self) -> list[tuple[int, int, int]]:
        """Return (boot, lowest number held, last number issued) of each boot held; the present one last, always.

        The present one's lowest is the next number when nothing of it is held.
        """
        held = self.spool.unstored()
        rows = []
        for boot, last in self._old_boots.items():
            ranges = held.get((self.source.bytes, boot))
            if ranges:
                rows.append((boot, ranges.lowest, last))
        present = held.get((self.source.bytes, self.boot))
        return [*rows, (self.boot, present.lowest if present else self.last_number + 1, self.last_number)]

    def settle(self, seen: Iterable[tuple[int, int, int]]) -> bool:
        """Compare with what a collector saw of each boot; True when a new boot was begun because of it.

        `seen`: (boot, highest number, checksum of that record or 0). When the present boot has another past than this
        life, the machine went back to a snapshot: the numbers issued since then name other records at the server. So a
        new boot begins, and what this boot holds is appended again under it; the server may then store a sample twice
        rather than lose one. Boots of earlier lives issue nothing any more and stay as they are. Raises SpoolFault;
        calling again goes on where it stopped.
        """
        known = {boot: Seen(number, checksum) for boot, number, checksum in seen}
        present = known.get(self.boot)
        is_rolled_back = has_another_past(self.spool, self.source.bytes, self.boot, self.last_number, present)
        if is_rolled_back and present is not None:
            log.warning("This source went back to an earlier state; a new boot begins", boot=self.boot)
            self._displaced.append(self.boot)
            self._old_boots[self.boot] = present.number
            self.boot = new_boot()
            self.last_number = 0
            self._has_begun = False
        if self._displaced:
            self._pay_debts()
            for boot in self._displaced.copy():
                self._move(boot)
                self._displaced.remove(boot)
        return is_rolled_back

    def close(self) -> None:
        """Announce the end of this boot, fsync, release the folder. Idempotent. Raises SpoolFault from the fsync."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self._pay_debts()
            origin, number = self._next_name()
            self._append(pack_closing(origin, number, [(self.boot, number)], self._now()))
        except SpoolFault as fault:  # the next life announces it as well
            log.warning("The outbox cannot announce its end", error=fault)
        finally:
            self.spool.close()

    def _now(self) -> int:
        return self._clock.now_us()

    def _publish(self, pack: Callable[[Origin, int], bytes]) -> int:
        record = pack(*self._next_name())  # tells bad columns before all else
        try:
            self._pay_debts()
            if not self.spool.has_room(len(record)):
                self._make_room(len(record))
            self.spool.append(pack(*self._next_name()))
        except (SpoolFault, SpoolFull):
            self._unnumbered_batches += 1
            self.unpublished_batches += 1
            raise
        self.last_number += 1
        return self.last_number

    def _next_name(self) -> tuple[Origin, int]:
        return Origin(self.source, self.boot), self.last_number + 1

    def _append(self, record: bytes) -> None:
        """Append a record that is not samples; it may exceed the spool's limit, so that it never displaces itself."""
        self.spool.append_reserved(record)
        self.last_number += 1

    def _pay_debts(self) -> None:
        """Announce what could not be announced when it happened. Raises SpoolFault; the rest stays owed."""
        if not self._has_begun:
            self._begin()
        if self._owes_ends:
            self._append(pack_closing(*self._next_name(), list(self._old_boots.items()), self._now()))
            self._owes_ends = False
        if self._unnumbered_batches:
            first, self.last_number = self.last_number + 1, self.last_number + self._unnumbered_batches
            self._owe(self.boot, [(first, self.last_number)])
            self._unnumbered_batches = 0
        damages = self.spool.damages[self._seen_damages :]
        self._seen_damages += len(damages)
        for damage in damages:
            for source, boot, first, last in damage.missing:
                if source == self.source.bytes:
                    self._owe(boot, [(first, last)])
        self._announce_lost()

    def _begin(self) -> None:
        """Append the boot's full dictionary; then the ends of the boots before it are owed."""
        self._announce(self._book.entries)
        self._has_begun = True
        self._owes_ends = bool(self._old_boots)

    def _announce(self, entries: Sequence[ItemEntry]) -> None:
        """Append dictionary records for `entries`, at least one, each with the next version."""
        for part in _parts(entries):
            version = self.dictionary_version + 1
            self._append(pack_dictionary(*self._next_name(), version, part, self._now()))
            self.dictionary_version = version

    def _owe(self, boot: int, ranges: Iterable[tuple[int, int]]) -> None:
        lost = RangeSet(ranges)
        self.lost_records += lost.count
        self._unannounced.setdefault(boot, RangeSet()).update(lost)

    def _announce_lost(self) -> None:
        while self._unannounced:
            rows = [(boot, first, last) for boot, ranges in self._unannounced.items() for first, last in ranges]
            part = rows[:_LOST_ENTRIES]
            self._append(pack_lost(*self._next_name(), part, self._now()))
            for boot, first, last in part:
                self._unannounced[boot].remove(first, last)
                if not self._unannounced[boot]:
                    del self._unannounced[boot]

    def _make_room(self, wanted_bytes: int) -> None:
        """Drop what the policy says, announcing it first: killed in between, nothing is lost and all is announced."""
        plan = self.spool.plan_drop(wanted_bytes + _LOST_ALLOWANCE_BYTES)
        for (source, boot), ranges in plan.lost.items():
            if source == self.source.bytes:
                self._owe(boot, ranges)
        self._announce_lost()
        self.spool.carry_out(plan)
        if (self.source.bytes, self.boot) in plan.deleted_control:
            self._announce(self._book.entries)

    def _move(self, boot: int) -> None:
        """Append what is held of `boot`, also beyond its announced end, under the present boot and forget it there."""
        source = self.source.bytes
        for part in _batches(self.spool.find(source, boot, 1, MAX_BOOT)):
            records = [record for record in part if read_header(record).kind is not Kind.DICTIONARY]
            moved = [renumber(record, self.boot, self.last_number + 1 + i) for i, record in enumerate(records)]
            self.spool.append_reserved(b"".join(moved))
            self.last_number += len(moved)
            numbers = [read_header(record).number for record in part]
            self.spool.mark_stored(source, boot, [(number, number) for number in numbers])


def _parts(entries: Sequence[ItemEntry]) -> Iterator[list[ItemEntry]]:
    """Split entries so that each part fits into a record; one empty part when there are none."""
    part: list[ItemEntry] = []
    size = 0
    for entry in entries:
        texts = (entry.key, entry.type, entry.unit, entry.description, entry.host)
        wanted = _ENTRY_OVERHEAD_BYTES + sum(len(text.encode()) for text in texts)
        if part and size + wanted > _DICTIONARY_BYTES:
            yield part
            part, size = [], 0
        part.append(entry)
        size += wanted
    yield part


def _batches(records: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Gather records to about 256 KiB."""
    batch: list[bytes] = []
    size = 0
    for record in records:
        batch.append(record)
        size += len(record)
        if size >= _MOVE_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
