"""A function with its window over every item that needs it: one row an item, the function's value kept up to date."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from triggers.functions import FUNCTIONS, Basis, Samples, Totals
from triggers.rings import MAX_SAMPLES, Stretch, in_parts
from triggers.slots import NEVER
from triggers.table import Lookup, Table, ragged
from triggers.totals import TOTALS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from triggers.columns import Judge
    from triggers.rings import Rings, Run
    from triggers.slots import Slots
    from triggers.syntax import Call
    from triggers.table import Journal, Rows
    from triggers.totals import Total

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

_RECOMPUTE_EVERY = 1024


class Track:
    """Rows: one per item that some trigger applies this function to.

    `slot` the item; `value` float64 what the function yields now, NaN when unknown; `tail` the number of the oldest
    sample in the window (see Rings); `references` how many operands read the row.
    A window ends at its item's newest instant and holds what is newer than its length before that.
    """

    def __init__(self, call: Call, slots: Slots, rings: Rings) -> None:
        self.function = FUNCTIONS[call.function]
        self.basis = self.function.basis
        self.has_ring = self.basis in {Basis.TOTALS, Basis.COUNT, Basis.SAMPLES}
        self.window_us = call.window_us
        self._arguments = call.arguments
        self._slots = slots
        self._rings = rings
        self._table = Table()
        self.slot: Rows = self._table.column(np.int64, -1)
        self.value: Floats = self._table.column(np.float64, np.nan)
        self.tail: Rows = self._table.column(np.int64, 0)
        self.references: NDArray[np.int32] = self._table.column(np.int32, 0)
        self.of_slot = Lookup()
        self._totals: dict[str, Total] = {name: TOTALS[name](self._table) for name in self.function.totals}

    def __len__(self) -> int:
        return len(self._table)

    def need(self, slots: Rows) -> tuple[Rows, Rows]:
        """Rows of slots, which may repeat; and the slots that had none before."""
        fresh: Rows = np.unique(slots[self.of_slot[slots] < 0])
        if len(fresh):
            rows = self._table.take(len(fresh))
            self.of_slot[fresh] = rows
            self.slot[rows] = fresh
            self.tail[rows] = self._slots.head[fresh]
        return self.of_slot[slots].astype(np.int64), fresh

    def give(self, rows: Rows) -> None:
        """Forget rows nothing refers to."""
        self.of_slot[self.slot[rows]] = -1
        self._table.give(rows)

    def save(self, rows: Rows, journal: Journal) -> None:
        """Note all that taking in samples may change in `rows`."""
        journal.save(self.value, rows)
        if self.has_ring:
            journal.save(self.tail, rows)
            for total in self._totals.values():
                total.save(rows, journal)

    def expire(self, rows: Rows, slots: Rows, instants: Rows) -> Flags:
        """Move the windows' ends to `instants`; tells in which a total has to be recomputed.

        The oldest sample also goes when MAX_SAMPLES are held, so that one more has room.
        """
        must_recompute = np.zeros(len(rows), bool)
        heads, limits = self._slots.head[slots], instants - self.window_us
        active = np.arange(len(rows))
        while len(active):
            tails = self.tail[rows[active]]
            places = self._rings.place(slots[active], tails)
            held = heads[active] - tails
            is_gone = (held > 0) & ((self._rings.instants[places] <= limits[active]) | (held >= MAX_SAMPLES))
            active, tails = active[is_gone], tails[is_gone] + 1
            if not len(active):
                break
            gone = rows[active]
            self.tail[gone] = tails
            if self._totals:
                values = self._rings.values[places[is_gone]]
                for total in self._totals.values():
                    must_recompute[active] |= total.remove(gone, values)
                emptied = active[tails == heads[active]]
                if len(emptied):
                    must_recompute[emptied] = False
                    for total in self._totals.values():
                        total.clear(rows[emptied])
        return must_recompute

    def enter(self, rows: Rows, slots: Rows, instants: Rows, values: Floats, must_recompute: Flags) -> Floats:
        """Take in what was just written to the rings (NaN: nothing was); returns what the function yields.

        `value` stays as it was: triggers still have to be judged at instants before this.
        """
        if self._totals:
            known = np.flatnonzero(~np.isnan(values))
            for total in self._totals.values():
                total.add(rows[known], values[known])
            must_recompute = must_recompute | (self._slots.head[slots] % _RECOMPUTE_EVERY == 0)
            for total in self._totals.values():
                must_recompute |= total.is_doubtful(rows)
            again = np.flatnonzero(must_recompute & (self._slots.head[slots] > self.tail[rows]))
            if len(again):
                self._recompute(rows[again], slots[again])
        return self._compute(rows, slots, instants)

    def follow_run(self, row: int, slot: int, run: Run) -> Floats:
        """Take in a long run at once: each of its windows is computed anew. Returns what the function yields, [k]."""
        begins = np.searchsorted(run.instants, run.at - self.window_us, side="right")
        begins = np.maximum(np.maximum(begins, run.seen - MAX_SAMPLES), self.tail[row] - run.oldest)
        lengths = np.maximum(run.seen - begins, 0)
        self.tail[row] = run.oldest + run.seen[-1] - lengths[-1]
        begins_at = run.at - self.window_us
        is_whole = self._slots.lost_until[slot] <= begins_at
        if self.basis is Basis.COUNT:
            is_whole &= self._slots.since[slot] <= begins_at
            return np.where(is_whole, lengths.astype(np.float64), np.nan)
        found = np.full(len(run.at), np.nan)
        filled = np.flatnonzero(lengths)
        for part in in_parts(lengths[filled]):
            windows = filled[part]
            places = ragged(begins[windows], lengths[windows])
            starts = np.cumsum(lengths[windows]) - lengths[windows]
            stretch = Stretch(part, starts, lengths[windows], run.instants[places], run.values[places])
            if self._totals:
                totals = {name: total.recompute(np.array([row]), stretch) for name, total in self._totals.items()}
                found[windows] = self._from_totals(lengths[windows].astype(np.float64), totals)
            else:
                found[windows] = self._from_samples(stretch, run.at[windows])
        if not lengths[-1]:
            for total in self._totals.values():
                total.clear(np.array([row]))
        found[~is_whole] = np.nan
        return found

    def rebuild(self, slots: Rows) -> None:
        """Compute the rows of `slots` anew from their rings, as after a refill."""
        rows = self.of_slot[slots].astype(np.int64)
        slots, rows = slots[rows >= 0], rows[rows >= 0]
        instants = self._slots.last_at[slots]
        slots, rows, instants = slots[instants != NEVER], rows[instants != NEVER], instants[instants != NEVER]
        heads = self._slots.head[slots]
        oldest = np.maximum(heads - self._slots.size[slots], 0)
        self.tail[rows] = self._rings.first_after(slots, oldest, instants - self.window_us)
        for total in self._totals.values():
            total.clear(rows)
        filled = np.flatnonzero(heads > self.tail[rows])
        if self._totals and len(filled):
            self._recompute(rows[filled], slots[filled])
        self.value[rows] = self._compute(rows, slots, instants)

    def slide(self, now_us: int, judge: Judge, journal: Journal) -> Rows:
        """Bring values up to date that change by time alone; returns the rows whose value changed."""
        rows = self._table.all_rows()
        slots = self.slot[rows]
        before = self.value[rows]
        if self.basis is Basis.SILENCE:
            after = self._silence(slots, now_us, judge)
        elif self.basis is Basis.COUNT:
            after = self._slid_count(rows, slots, now_us, judge)
        else:
            elapsed = now_us - np.maximum(self._slots.advanced_at[slots], self._slots.bound_at[slots])
            after = np.where(elapsed >= self.window_us, np.nan, before)
        changed = np.flatnonzero((after != before) & ~(np.isnan(after) & np.isnan(before)))
        journal.save(self.value, rows[changed])
        self.value[rows[changed]] = after[changed]
        return rows[changed]

    def _silence(self, slots: Rows, now_us: int, judge: Judge) -> Floats:
        """Silent longer than the window, and it is the item's own silence: true. Something arrived since: false."""
        arrived = self._slots.arrived_at[slots]
        is_silent = now_us - np.maximum(arrived, self._slots.bound_at[slots]) > self.window_us
        found = np.where(is_silent | (arrived == NEVER), np.nan, 0.0)
        found[self._judged(is_silent, slots, judge)] = 1.0
        return found

    def _slid_count(self, rows: Rows, slots: Rows, now_us: int, judge: Judge) -> Floats:
        """Count in the window that ends now, on the item's own clock: its newest instant plus the time since then.

        Where that is fewer than when the newest sample came, the silence has to be the item's own.
        """
        last = self._slots.last_at[slots]
        elapsed = np.maximum(now_us - np.maximum(self._slots.advanced_at[slots], self._slots.bound_at[slots]), 0)
        begins = last + elapsed - self.window_us
        tails, heads = self.tail[rows], self._slots.head[slots]
        slid = heads - self._rings.first_after(slots, tails, begins)
        is_whole = self._is_whole(slots, begins)
        found = np.where(is_whole, slid.astype(np.float64), np.nan)
        is_new = last == NEVER
        found[is_new] = np.nan
        is_fewer = np.where(is_new, elapsed > self.window_us, slid < heads - tails)
        judged = self._judged(is_fewer, slots, judge)
        found[is_fewer] = np.nan
        found[judged] = np.where(is_new[judged] | is_whole[judged], slid[judged], np.nan)
        return found

    def _is_whole(self, slots: Rows, begins: Rows) -> Flags:
        """Tell of which items every sample since `begins` is known, so that they can be counted."""
        whole: Flags = np.maximum(self._slots.since[slots], self._slots.lost_until[slots]) <= begins
        return whole

    def _judged(self, is_asked: Flags, slots: Rows, judge: Judge) -> Rows:
        asked = np.flatnonzero(is_asked)
        return asked[judge(self._slots.item[slots[asked]])] if len(asked) else asked

    def _recompute(self, rows: Rows, slots: Rows) -> None:
        for stretch in self._rings.read(slots, self.tail[rows]):
            for total in self._totals.values():
                total.recompute(rows[stretch.part], stretch)

    def _compute(self, rows: Rows, slots: Rows, instants: Rows) -> Floats:
        held = (self._slots.head[slots] - self.tail[rows]).astype(np.float64)
        if self.basis is Basis.COUNT:
            return np.where(self._is_whole(slots, instants - self.window_us), held, np.nan)
        found = self._compute_known(rows, slots, instants, held)
        if self._slots.has_losses:
            found[self._slots.lost_until[slots] > instants - self.window_us] = np.nan
        return found

    def _compute_known(self, rows: Rows, slots: Rows, instants: Rows, held: Floats) -> Floats:
        """Compute from what the windows hold, whether samples are missing there or not."""
        if self._totals:
            return self._from_totals(held, {name: total.read(rows) for name, total in self._totals.items()})
        found = np.full(len(rows), np.nan)
        filled = np.flatnonzero(held > 0)
        for stretch in self._rings.read(slots[filled], self.tail[rows[filled]]):
            found[filled[stretch.part]] = self._from_samples(stretch, instants[filled[stretch.part]])
        return found

    def _from_totals(self, held: Floats, totals: dict[str, Floats]) -> Floats:
        compute = self.function.from_totals
        if compute is None:
            raise TypeError(f"{self.function.name} declares no computation")
        given = {name: totals.get(name, held) for name in TOTALS}  # those not asked for hold nothing of use
        with np.errstate(all="ignore"):
            found = compute(Totals(count=held, **given))
        return np.where((held > 0) & np.isfinite(found), found, np.nan)

    def _from_samples(self, stretch: Stretch, ends: Rows) -> Floats:
        compute = self.function.from_samples
        if compute is None:
            raise TypeError(f"{self.function.name} declares no computation")
        samples = Samples(
            starts=stretch.starts,
            lengths=stretch.lengths,
            seconds=(stretch.instants - np.repeat(ends, stretch.lengths)) / 1e6,
            values=stretch.values,
            window_seconds=self.window_us / 1e6,
        )
        with np.errstate(all="ignore"):
            return compute(samples, self._arguments)
