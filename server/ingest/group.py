"""Writes one group of records within an open transaction, and says what memory learns when it has committed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import compress
from typing import TYPE_CHECKING
from uuid import UUID

import numpy as np

from core.model.gaps import runs_of
from core.model.record import Kind
from server.ingest.announce import write_events
from server.ingest.declarations import declare
from server.ingest.ended import records_of, refused_numbers, stored_numbers
from server.ingest.meanings import without_contradictions
from server.ingest.repeats import find_dictionaries, find_samples
from server.ingest.translation import translate
from server.intake.dictionaries import NO_ITEM
from server.intake.screening import MOST_PIECES
from server.store.batches import append_batches, copy_columns, copy_texts
from server.store.dictionary import read_dictionaries, record_dictionaries
from server.store.gaps import replace_gaps
from server.store.instants import to_datetime
from server.store.quarantine import PoisonRecord, quarantine
from server.store.received import record_received
from triggers.evaluation import Columns as Samples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from server.escalation.audience import Audience
    from server.evaluation.watch import Watch
    from server.ingest.ended import Instants, Name
    from server.intake.dictionaries import Dictionaries, Lookup
    from server.intake.ledger import Ledger, Life
    from server.intake.screening import Admitted, Screened
    from server.store.batches import Batches, TextSample
    from server.store.database import Connection
    from server.store.dictionary import DictionaryEntries
    from server.store.peers import Source
    from server.store.received import ReceivedDelta
    from triggers.evaluation import Staged


@dataclass(slots=True, kw_only=True)
class Effects:
    """What a written group changes in memory once it is committed, and what is to be said to whom.

    `changed_items`: those that the dictionaries made, or declared otherwise than before. `repeated`: records under
    stored numbers that are stored themselves, now or before. `reissued`: how many of them only now, by source id.
    """

    deltas: list[ReceivedDelta] = field(default_factory=list)
    dictionaries: list[DictionaryEntries] = field(default_factory=list)
    changed_items: list[int] = field(default_factory=list)
    staged: Staged | None = None
    stored: list[Admitted] = field(default_factory=list)
    repeated: list[Admitted] = field(default_factory=list)
    reissued: Counter[int] = field(default_factory=Counter)
    waiting: list[Admitted] = field(default_factory=list)
    poison: list[tuple[Admitted, str]] = field(default_factory=list)
    batches: Batches | None = None
    texts: Sequence[TextSample] = ()
    value_count: int = 0
    foreign_values: int = 0
    unkept_losses: int = 0
    notice_count: int = 0


class GroupWriter:
    """Turns judged records into rows. Holds no state of its own between groups."""

    def __init__(
        self,
        *,
        dictionaries: Dictionaries,
        ledger: Ledger,
        watch: Watch,
        audience: Callable[[], Audience],
        may_name: Callable[[Source, str], bool] = lambda _source, _host: True,
    ) -> None:
        """Keep to `may_name`: whether a source may speak of the host of this name."""
        self._dictionaries = dictionaries
        self._ledger = ledger
        self._watch = watch
        self._audience = audience
        self._may_name = may_name

    async def write(self, connection: Connection, screened: Screened, now_us: int) -> Effects:
        """Write everything the group brings, and stage its evaluation.

        Raises the store's errors; then nothing stays staged. The caller restores the watch's snapshot when the
        transaction fails, and ends the stage when it has committed or failed.
        """
        effects = Effects()
        await self._read_dictionaries(connection, [*screened.admitted, *screened.repeated])
        repeats = await find_dictionaries(connection, screened.repeated, self._dictionaries.lookup)
        kinds = [admitted.arrival.header.kind is Kind.DICTIONARY for admitted in screened.admitted]
        new = list(compress(screened.admitted, kinds))
        declared = await declare(connection, [*new, *repeats.dictionaries], self._may_name)
        effects.dictionaries = await without_contradictions(
            connection, zip(declared.stored, declared.dictionaries, strict=True), self._dictionaries.lookup
        )
        effects.changed_items = declared.changed_items
        is_again = set(map(id, repeats.dictionaries))
        effects.stored += [admitted for admitted in declared.stored if id(admitted) not in is_again]
        effects.poison += declared.poison
        others = [admitted for admitted, is_one in zip(screened.admitted, kinds, strict=True) if not is_one]
        staged_lookups = self._extend(effects.dictionaries)

        def lookup(life: Life) -> Lookup:
            return staged_lookups.get(life) or self._dictionaries.lookup(life)

        said = translate(others, lookup)
        if screened.repeated:
            repeats.ended += [admitted for admitted in declared.stored if id(admitted) in is_again]
            await find_samples(connection, screened.repeated, lookup, repeats)
        effects.stored += said.stored
        effects.repeated, effects.reissued = repeats.ended, repeats.reissued
        effects.waiting += [*said.waiting, *repeats.waiting]
        effects.poison += [*said.poison, *repeats.poison]
        effects.foreign_values = said.foreign_values
        effects.batches, effects.texts = append_batches(repeats.batches, said.batches), [*repeats.texts, *said.texts]
        effects.value_count = (0 if effects.batches is None else len(effects.batches.items)) + len(effects.texts)
        lives = records_of(effects.stored, now_us)
        self._tell_missed(lives, staged_lookups)
        effects.staged = self._evaluate(effects.batches, now_us)
        batches = _marked(effects.batches, effects.staged)
        effects.deltas = [
            *stored_numbers(lives, _late_records(batches), now_us),
            *refused_numbers([admitted for admitted, _ in effects.poison], screened.refused),
            *self._kept_losses([*said.announced, *repeats.announced], effects),
        ]
        try:
            if batches is not None:
                await copy_columns(connection, batches)
            await copy_texts(connection, effects.texts)
            await record_dictionaries(connection, effects.dictionaries)
            await quarantine(connection, [_poison(admitted, reason) for admitted, reason in effects.poison])
            await record_received(connection, effects.deltas)
            await replace_gaps(connection, *self._ledger.gap_changes(effects.deltas))
            if effects.staged is not None:
                effects.notice_count = await write_events(
                    connection, self._watch, effects.staged.events, self._audience(), to_datetime(now_us)
                )
        except BaseException:
            if effects.staged is not None:
                effects.staged.drop()
            raise
        return effects

    async def _read_dictionaries(self, connection: Connection, admitted: Iterable[Admitted]) -> None:
        """Bring in what the store knows of lives not heard before: committed facts, so memory may learn them now."""
        unread = self._dictionaries.unread(each.life for each in admitted)
        if unread:
            self._dictionaries.read(unread, await read_dictionaries(connection, unread))

    def _extend(self, entries: Sequence[DictionaryEntries]) -> dict[Life, Lookup]:
        lookups: dict[Life, Lookup] = {}
        for each in entries:
            life = (each.source_id, each.boot)
            lookups[life] = (lookups.get(life) or self._dictionaries.lookup(life)).extended(each)
        return lookups

    def _kept_losses(self, announced: Iterable[ReceivedDelta], effects: Effects) -> list[ReceivedDelta]:
        """Leave out losses that would make ever more pieces of a life: those numbers stay open."""
        kept, pieces = [], Counter[tuple[int, int]]()
        for delta in announced:
            life = (delta.source_id, delta.boot)
            lost = self._ledger.account(life).lost
            if delta.lost and len(lost) + pieces[life] >= MOST_PIECES and not lost.common(delta.lost):
                effects.unkept_losses += delta.lost.count
                continue
            pieces[life] += len(delta.lost)
            kept.append(delta)
        return kept

    def _tell_missed(self, lives: Mapping[Life, Sequence[Instants]], staged: Mapping[Life, Lookup]) -> None:
        """Tell the evaluator of records skipped between what was stored before and now: samples of theirs are missing.

        They may come yet, by another way; but late, so what triggers look back on stays without them.
        """
        for life, records in lives.items():
            until_us = self._ledger.account(life).gaps.skipped_until(runs_of(records))
            if until_us is not None:
                lookup = staged.get(life) or self._dictionaries.lookup(life)
                items = lookup.items[lookup.items > NO_ITEM]
                self._watch.evaluator.missed(items, np.full(len(items), until_us))

    def _evaluate(self, batches: Batches | None, now_us: int) -> Staged | None:
        if batches is None or not len(self._watch):
            return None
        samples = Samples(items=batches.items, instants=batches.instants(), values=batches.values)
        return self._watch.evaluator.evaluate(samples, now_us)


def _marked(batches: Batches | None, staged: Staged | None) -> Batches | None:
    """Return the batches with their late samples marked."""
    if batches is not None and staged is not None and staged.late.any():
        return replace(batches, late=staged.late)
    return batches


def _late_records(batches: Batches | None) -> set[Name]:
    """Return which records hold late samples."""
    if batches is None or batches.late is None:
        return set()
    places = np.flatnonzero(np.logical_or.reduceat(batches.late, np.cumsum(batches.counts) - batches.counts))
    columns = (batches.source_ids[places], batches.boots[places], batches.numbers[places])
    return set(zip(*(column.tolist() for column in columns), strict=True))


def _poison(admitted: Admitted, reason: str) -> PoisonRecord:
    header = admitted.arrival.header
    return PoisonRecord(
        source=UUID(bytes=header.source),
        boot=header.boot,
        number=header.number,
        reason=reason,
        record=bytes(admitted.arrival.record),
    )
