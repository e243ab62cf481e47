"""Evaluates triggers over columns of samples, staging every effect until the samples are committed.

Single-threaded and one stage at a time: between `evaluate` or `tick` and the `commit` or `drop` of what it returned,
only `states` and `needs` may be called (the others raise RuntimeError); `states` then still answers what was committed.
Effects are written in place with a journal of what they replaced, and `drop` writes that back: the usual case, the
commit, costs nothing, and rings need no second copy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from triggers.bundle import Bundle
from triggers.columns import Columns, Gapped, Instances, Judge, Needs, nothing_is_judgeable
from triggers.edges import Edges
from triggers.group import Group
from triggers.judgement.problem import order_events
from triggers.keys import Keys
from triggers.slots import NEVER, SERVED, Slots
from triggers.table import Journal
from triggers.windows import Windows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from triggers.bundle import Verdict
    from triggers.compile import Compiled
    from triggers.judgement.problem import Events
    from triggers.table import Rows
    from triggers.windows import Series
__all__ = ["NEVER", "Columns", "Evaluator", "Gapped", "Instances", "Judge", "Needs", "Staged", "nothing_is_judgeable"]


class Staged:
    """What an evaluation found. Memory is as before after `drop`, and has moved on after `commit`.

    `events`: what opened and was resolved. `late` bool[n]: samples not newer than their item's last evaluated one (or
    a second one for the same instant in this group); they were not evaluated. Items no trigger speaks of are never
    late. After `tick` it is empty.
    """

    def __init__(
        self, evaluator: Evaluator, journal: Journal, verdicts: list[Verdict], late: NDArray[np.bool_]
    ) -> None:
        self.events: Events = order_events([verdict.events for verdict in verdicts])
        self.late = late
        self._evaluator = evaluator
        self._journal = journal
        self._verdicts = verdicts

    def commit(self) -> None:
        """Keep the effects; after the transaction is committed. A second end of the same stage raises RuntimeError."""
        self._evaluator.end(self)
        self._journal.commit()
        for verdict in self._verdicts:
            verdict.bundle.keep(verdict)

    def drop(self) -> None:
        """Forget everything, exactly; after the transaction failed."""
        self._evaluator.end(self)
        self._journal.undo()


class Evaluator:
    """All triggers of a server with the windows of the items they speak of. Pure: no clock, no I/O."""

    def __init__(self) -> None:
        self._slots = Slots()
        self._windows = Windows(self._slots)
        self._edges = Edges(self._slots)
        self._bundles: list[Bundle | None] = []
        self._bundle_of: dict[Compiled, Bundle] = {}
        self._keys = Keys()
        self._open_stage: Staged | None = None

    def add(self, compiled: Compiled, instances: Instances, now_us: int) -> None:
        """Watch further instances from now on (server clock, µs). Raises ValueError when a key is already there.

        Their items start without history: see `needs`. Nothing is evaluated and no event made before the next
        sample or tick.
        """
        self._require_no_stage()
        items = instances.items.reshape(len(instances.keys), len(compiled.references))
        if not len(items):
            return
        self._keys.require_new(instances.keys)
        bundle = self._bundle(compiled)
        rows = bundle.table.take(len(items))
        self._keys.add(instances.keys, bundle.number, rows)
        bundle.key[rows] = instances.keys
        bundle.is_open[rows] = instances.is_open
        bundle.state[rows] = np.where(instances.is_open, 1, 2)
        bundle.changed_at[rows] = instances.changed_at
        seen = np.empty((0, len(rows)), np.int64)
        for place, column in enumerate(bundle.slots):
            slots = self._slots.need(items[:, place], now_us)
            column[rows] = slots
            np.add.at(self._slots.references, slots, 1)
            is_first = ~(seen == slots).any(axis=0)  # an instance reads a slot by one edge, however often it names it
            self._edges.add(slots[is_first], bundle.number, rows[is_first])
            seen = np.vstack((seen, slots))
        for place, call in enumerate(compiled.calls):
            if call.window_us:
                slots = bundle.slots[compiled.reference_of_call[place]][rows].astype(np.int64)
                bundle.tracks[place], bundle.track_rows[place][rows] = self._windows.need(call, slots)

    def remove(self, keys: NDArray[np.int64]) -> None:
        """Forget instances, and the windows nobody else needs; unknown keys do not matter."""
        self._require_no_stage()
        for number, rows in self._keys.remove(keys):
            bundle = self._bundles[number]
            if bundle is None:
                raise RuntimeError(f"keys lead to bundle {number}, which is gone")
            slots = np.concatenate([column[rows] for column in bundle.slots]).astype(np.int64)
            self._edges.remove(slots, number, rows)
            for track, column in zip(bundle.tracks, bundle.track_rows, strict=True):
                if track is not None:
                    self._windows.give(track, column[rows].astype(np.int64))
            np.subtract.at(self._slots.references, slots, 1)
            touched = np.unique(slots)
            self._slots.give(touched[self._slots.references[touched] == 0])
            bundle.table.give(rows)
            if not len(bundle.table):
                self._bundles[number] = None
                del self._bundle_of[bundle.compiled]

    def needs(self) -> Needs:
        """Items that have come by `add` (or need a longer window than before) and were not refilled since."""
        rows = self._slots.all_rows()
        rows = rows[self._slots.wanted_us[rows] != SERVED]
        return Needs(
            items=self._slots.item[rows],
            window_seconds=self._slots.wanted_us[rows] / 1e6,
            since=self._slots.since[rows],
        )

    def refill(self, columns: Columns) -> None:
        """Put stored history, in any order, into the windows of the items in `columns`, below what they hold.

        Call it with what `needs` asked for, before evaluating or later. Nothing is evaluated.
        """
        self._require_no_stage()
        found = self._slots.find(columns.items)
        concerned = np.flatnonzero(found >= 0)
        if len(concerned):
            values = _only_finite(columns.values[concerned])
            self._windows.refill(found[concerned].astype(np.int64), columns.instants[concerned], values)

    def refilled(self, items: NDArray[np.int32]) -> None:
        """Say that history of these items has been read completely, so `needs` names them no more."""
        found = self._slots.find(items)
        self._slots.wanted_us[found[found >= 0]] = SERVED

    def watched_since(self, items: NDArray[np.int32], since: NDArray[np.int64]) -> None:
        """Say since when (µs, samples' clock) items have existed; default: the `now_us` of `add`.

        `count` is unknown while its window begins before that, so a new host is no host with too few samples.
        Call it before `refill`.
        """
        self._require_no_stage()
        found = self._slots.find(items)
        self._slots.since[found[found >= 0]] = since[found >= 0]

    def missed(self, items: NDArray[np.int32], until: NDArray[np.int64]) -> None:
        """Say that samples of items are missing before an instant (µs, samples' clock): a fact, so no stage undoes it.

        What looks back over that instant is unknown from now on, as long as it does. Items may repeat.
        """
        self._require_no_stage()
        found = self._slots.find(items)
        known = np.flatnonzero(found >= 0)
        np.maximum.at(self._slots.lost_until, found[known], until[known])
        self._slots.has_losses = self._slots.has_losses or bool(len(known))
        self._windows.missed(np.unique(found[known].astype(np.int64)))

    def gapped(self) -> Gapped:
        """Return the items whose windows reach back over samples that are missing."""
        rows = self._slots.all_rows()
        rows = rows[(self._slots.tracks[rows] > 0) & (self._slots.lost_until[rows] != NEVER)]
        since = self._slots.last_at[rows] - self._windows.longest(rows)
        reaching = self._slots.lost_until[rows] > since
        rows, since = rows[reaching], since[reaching]
        return Gapped(items=self._slots.item[rows], until=self._slots.lost_until[rows].copy(), since=since)

    def heal(self, items: NDArray[np.int32], until: NDArray[np.int64], history: Columns) -> None:
        """Say that samples of items are missing before `until` only (NEVER: nowhere), since they came late.

        `history` holds all stored samples of their windows, in any order. Nothing is evaluated before the next sample
        or tick, and then from what is known now.
        """
        self._require_no_stage()
        found = self._slots.find(items)
        self._slots.lost_until[found[found >= 0]] = until[found >= 0]
        self.refill(history)

    def evaluate(self, columns: Columns, now_us: int) -> Staged:
        """Take in a group of samples that arrived at `now_us` (server clock, µs) and judge what they touch.

        An instance is judged at every instant at which one of its items has a sample in the group, in instant
        order, whatever the order of arrival. Any float is allowed as value; what is not finite is unknown.
        """
        self._require_no_stage()
        found = self._slots.find(columns.items)
        concerned = np.flatnonzero(found >= 0)
        slots = found[concerned].astype(np.int64)
        values = _only_finite(columns.values[concerned])
        late = np.zeros(len(found), bool)
        journal = Journal()
        group = Group(slots, columns.instants[concerned], values, self._slots)
        try:
            late[concerned] = group.late
            journal.save(self._slots.arrived_at, slots)
            self._slots.arrived_at[slots] = now_us
            verdicts = self._take_in(group, now_us, journal) if len(group.slots) else []
        except BaseException:
            journal.undo()
            raise
        finally:
            group.close()
        return self._stage(journal, verdicts, late)

    def tick(self, now_us: int, judge: Judge) -> Staged:
        """Judge what changes by time alone: `nodata`, `count`, windows that have run empty. `now_us` server clock."""
        self._require_no_stage()
        journal = Journal()
        try:
            touched: dict[Bundle, list[Rows]] = {}
            for track in self._windows.tracks.values():
                changed = track.slide(now_us, judge, journal)
                readers = self._edges.readers(track.slot[changed])
                for number, places in _split(readers.bundles):
                    bundle = self._bundles[number]
                    if bundle is not None:
                        rows = bundle.only_readers_of(track, readers.rows[places], changed[readers.owners[places]])
                        touched.setdefault(bundle, []).append(rows)
            verdicts = [
                bundle.judge_now(np.unique(np.concatenate(rows)), now_us, self._slots)
                for bundle, rows in touched.items()
                if any(map(len, rows))
            ]
        except BaseException:
            journal.undo()
            raise
        return self._stage(journal, verdicts, np.zeros(0, bool))

    def states(self) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
        """Return (keys int64[n], states int8[n] of `State`) of all instances, ordered by key."""
        keys, numbers, rows = self._keys.all()
        states = np.empty(len(keys), np.int8)
        for number, places in _split(numbers):
            bundle = self._bundles[number]
            if bundle is not None:
                states[places] = bundle.state[rows[places]]
        return keys, states

    def end(self, stage: Staged) -> None:
        """Let go of the open stage. For Staged only."""
        if self._open_stage is not stage:
            raise RuntimeError("this stage has been committed or dropped already")
        self._open_stage = None

    def _take_in(self, group: Group, now_us: int, journal: Journal) -> list[Verdict]:
        series = self._windows.push(group, journal)
        verdicts = self._judge_touched(group, series)
        self._windows.settle(group, series)
        newest = group.slots[group.starts]
        for column, after in (
            (self._slots.last_at, group.instants[group.ends - 1]),
            (self._slots.last_value, group.values[group.ends - 1]),
            (self._slots.advanced_at, now_us),
        ):
            journal.save(column, newest)
            column[newest] = after
        return verdicts

    def _judge_touched(self, group: Group, series: Series) -> list[Verdict]:
        readers = self._edges.readers(group.slots)
        verdicts = []
        for number, places in _split(readers.bundles):
            bundle = self._bundles[number]
            if bundle is not None:
                rows, owners = readers.rows[places], readers.owners[places]
                verdicts.append(bundle.judge_group(rows, owners, group, series, self._slots))
        return verdicts

    def _bundle(self, compiled: Compiled) -> Bundle:
        if compiled not in self._bundle_of:
            number = self._bundles.index(None) if None in self._bundles else len(self._bundles)
            bundle = Bundle(compiled, number)
            self._bundles[number : number + 1] = [bundle]
            self._bundle_of[compiled] = bundle
        return self._bundle_of[compiled]

    def _stage(self, journal: Journal, verdicts: list[Verdict], late: NDArray[np.bool_]) -> Staged:
        self._open_stage = Staged(self, journal, verdicts, late)
        return self._open_stage

    def _require_no_stage(self) -> None:
        if self._open_stage is not None:
            raise RuntimeError("an evaluation is neither committed nor dropped yet")


def _only_finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isfinite(values), values, np.nan)


def _split(numbers: NDArray[np.int32]) -> list[tuple[int, Rows | slice]]:
    """List for each number that occurs where it does, in order."""
    if not len(numbers):
        return []
    lowest, highest = int(numbers.min()), int(numbers.max())
    if lowest == highest:
        return [(lowest, slice(None))]
    order = np.argsort(numbers.astype(np.int16) if highest < 1 << 15 else numbers, kind="stable")  # int16: radix sort
    ordered = numbers[order]
    borders = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    return [(int(numbers[places[0]]), places) for places in np.split(order, borders)]
