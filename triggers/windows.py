"""The samples and function values kept for all items: what to keep, taking in samples, filling up from history."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from triggers.rings import MAX_SAMPLES, Rings, Run
from triggers.table import ragged
from triggers.tracks import Track

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from triggers.group import Group
    from triggers.slots import Slots
    from triggers.syntax import Call
    from triggers.table import Journal, Rows

    Floats = NDArray[np.float64]

LONG_RUN = 64  # samples of one item in a group: about where one window anew is cheaper than one round more
Series = dict[Track, "Floats"]


class Windows:
    """Rings for the items that need one, and the tracks of all functions but `last`."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._rings = Rings(slots)
        self.tracks: dict[Call, Track] = {}
        self.long_run = LONG_RUN

    def need(self, call: Call, slots: Rows) -> tuple[Track, Rows]:
        """Keep what `call` takes for slots (which may repeat), counted; returns its track and their rows there."""
        track = self.tracks.get(call)
        if track is None:
            track = self.tracks[call] = Track(call, self._slots, self._rings)
        if track.has_ring:
            without = np.unique(slots[self._slots.size[slots] == 0])
            self._rings.open(without, np.zeros(len(without), np.int64))
        rows, fresh = track.need(slots)
        np.add.at(track.references, rows, 1)
        if track.has_ring:
            self._slots.tracks[fresh] += 1
            self._slots.wanted_us[fresh] = np.maximum(self._slots.wanted_us[fresh], track.window_us)
        return track, rows

    def give(self, track: Track, rows: Rows) -> None:
        """Take back what `need` counted; what nobody counts any more is forgotten."""
        np.subtract.at(track.references, rows, 1)
        rows = np.unique(rows)
        unused = rows[track.references[rows] == 0]
        slots = track.slot[unused]
        track.give(unused)
        if track.has_ring:
            self._slots.tracks[slots] -= 1
            self._rings.close(slots[self._slots.tracks[slots] == 0])
        if not len(track):
            self.tracks = {call: kept for call, kept in self.tracks.items() if kept is not track}

    def push(self, group: Group, journal: Journal) -> Series:
        """Take in the samples of a group; returns per track what its function yields after each of them.

        The tracks' `value` columns still hold what was before: `settle` moves them on.
        """
        runs = group.slots[group.starts]
        series: Series = {}
        for track in self.tracks.values():
            found = track.of_slot[runs]
            rows = found[found >= 0].astype(np.int64)
            if len(rows):
                series[track] = np.zeros(len(group.slots))
                track.save(rows, journal)
        ringed = [track for track in series if track.has_ring]
        if ringed:
            journal.save(self._slots.head, runs)
            has_ring = self._slots.tracks[runs] > 0
            is_long = group.ends - group.starts > self.long_run
            for places in group.rounds(np.flatnonzero(has_ring & ~is_long)):
                self._push_round(places, group, ringed, series, journal)
            for number in np.flatnonzero(has_ring & is_long).tolist():
                self._push_run(slice(group.starts[number], group.ends[number]), group, ringed, series, journal)
        return series

    def _push_run(self, places: slice, group: Group, tracks: list[Track], series: Series, journal: Journal) -> None:
        """Take in a long run of one slot at once: a round for each sample would cost more."""
        slot = int(group.slots[places.start])
        instants, values = group.instants[places], group.values[places]
        known = ~np.isnan(values)
        _, held_instants, held_values = self._read_rings(np.array([slot]))
        run = Run(
            instants=np.concatenate((held_instants, instants[known])),
            values=np.concatenate((held_values, values[known])),
            oldest=int(self._slots.head[slot]) - len(held_instants),
            at=instants,
            seen=len(held_instants) + np.cumsum(known),
        )
        first = run.head
        for track in tracks:
            row = int(track.of_slot[np.array([slot])][0])
            if row >= 0:
                series[track][places] = track.follow_run(row, slot, run)
                first = min(first, int(track.tail[row]))
        self._rings.replace(slot, run, first, journal)

    def _push_round(self, places: Rows, group: Group, tracks: list[Track], series: Series, journal: Journal) -> None:
        """Take in at most one sample per slot."""
        slots, instants, values = group.slots[places], group.instants[places], group.values[places]
        oldest = self._slots.head[slots]
        entries = []
        for track in tracks:
            rows = track.of_slot[slots].astype(np.int64)
            concerned = np.flatnonzero(rows >= 0)
            if len(concerned):
                rows = rows[concerned]
                must_recompute = track.expire(rows, slots[concerned], instants[concerned])
                oldest[concerned] = np.minimum(oldest[concerned], track.tail[rows])
                entries.append((track, rows, concerned, must_recompute))
        known = np.flatnonzero(~np.isnan(values))
        self._rings.write(slots[known], instants[known], values[known], oldest[known], journal)
        for track, rows, concerned, must_recompute in entries:
            series[track][places[concerned]] = track.enter(
                rows, slots[concerned], instants[concerned], values[concerned], must_recompute
            )

    def settle(self, group: Group, series: Series) -> None:
        """Let the tracks' `value` columns hold what the last sample of each run brought (`push` saved them)."""
        runs, last = group.slots[group.starts], group.ends - 1
        for track, values in series.items():
            rows = track.of_slot[runs]
            concerned = np.flatnonzero(rows >= 0)
            track.value[rows[concerned]] = values[last[concerned]]

    def missed(self, slots: Rows) -> None:
        """Make unknown what looks back over the time in which samples of these slots are missing."""
        for track in self.tracks.values():
            if track.has_ring:
                rows = track.of_slot[slots]
                own, rows = slots[rows >= 0], rows[rows >= 0]
                is_missing = self._slots.lost_until[own] > self._slots.last_at[own] - track.window_us
                track.value[rows[is_missing]] = np.nan

    def longest(self, slots: Rows) -> Rows:
        """Return the length of each slot's longest window in µs, 0 without any."""
        longest = np.zeros(len(slots), np.int64)
        for track in self.tracks.values():
            if track.has_ring:
                longest = np.maximum(longest, np.where(track.of_slot[slots] >= 0, track.window_us, 0))
        return longest

    def refill(self, slots: Rows, instants: Rows, values: Floats) -> None:
        """Put stored samples (any order) below what the rings of their slots hold already.

        Of two samples for one instant the first one counts, as in a group.
        """
        order = np.lexsort((instants, slots))
        order = order[_is_first(slots[order], instants[order])]
        slots, instants, values = slots[order], instants[order], values[order]
        ends = np.flatnonzero(np.append(slots[1:] != slots[:-1], True))
        self._remember_newest(slots[ends], instants[ends], values[ends])
        touched = slots[ends]
        ringed = touched[self._slots.tracks[touched] > 0]
        held_slots, held_instants, held_values = self._read_rings(ringed)
        is_kept = (self._slots.tracks[slots] > 0) & ~np.isnan(values)
        slots = np.concatenate((held_slots, slots[is_kept]))
        instants = np.concatenate((held_instants, instants[is_kept]))
        values = np.concatenate((held_values, values[is_kept]))
        order = np.lexsort((instants, slots))  # stable: of two samples for one instant, the held one comes first
        slots, instants, values = slots[order], instants[order], values[order]
        begins = self._slots.last_at[ringed] - self.longest(ringed)
        is_kept = _is_first(slots, instants) & (instants > begins[np.searchsorted(ringed, slots)])
        slots, instants, values = slots[is_kept], instants[is_kept], values[is_kept]
        begin = np.searchsorted(slots, ringed, side="left")
        end = np.searchsorted(slots, ringed, side="right")
        begin = np.maximum(begin, end - MAX_SAMPLES)
        self._rings.close(ringed)
        self._rings.open(ringed, end - begin)
        numbers = ragged(np.zeros(len(ringed), np.int64), end - begin)
        source = ragged(begin, end - begin)
        places = self._rings.place(slots[source], numbers)
        self._rings.instants[places] = instants[source]
        self._rings.values[places] = values[source]
        self._slots.head[ringed] = end - begin
        for track in self.tracks.values():
            if track.has_ring:
                track.rebuild(ringed)

    def _remember_newest(self, slots: Rows, instants: Rows, values: Floats) -> None:
        is_newer = instants > self._slots.last_at[slots]
        self._slots.last_at[slots[is_newer]] = instants[is_newer]
        self._slots.last_value[slots[is_newer]] = values[is_newer]

    def _read_rings(self, slots: Rows) -> tuple[Rows, Rows, Floats]:
        """Read all that the windows of `slots` hold: a column each of slots, instants, values."""
        oldest = self._slots.head[slots]
        for track in self.tracks.values():
            if track.has_ring:
                rows = track.of_slot[slots]
                concerned = np.flatnonzero(rows >= 0)
                oldest[concerned] = np.minimum(oldest[concerned], track.tail[rows[concerned]])
        instants, values = [np.empty(0, np.int64)], [np.empty(0)]
        for stretch in self._rings.read(slots, oldest):
            instants.append(stretch.instants)
            values.append(stretch.values)
        owners = np.repeat(slots, self._slots.head[slots] - oldest)
        return owners, np.concatenate(instants), np.concatenate(values)


def _is_first(slots: Rows, instants: Rows) -> NDArray[np.bool_]:
    """Tell which of the ordered samples is the first one of its slot and instant."""
    is_first = np.ones(len(slots), bool)
    is_first[1:] = (slots[1:] != slots[:-1]) | (instants[1:] != instants[:-1])
    return is_first
