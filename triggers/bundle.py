"""All instances of one compiled expression, as rows, and how they are judged together."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from triggers.judgement.problem import Events, State, follow
from triggers.table import Table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from triggers.compile import Compiled
    from triggers.group import Group
    from triggers.judgement.problem import Transitions
    from triggers.slots import Slots
    from triggers.table import Rows
    from triggers.tracks import Track
    from triggers.windows import Series

    Floats = NDArray[np.float64]


class Verdict(NamedTuple):
    """What judging some rows of a bundle found: the events, and the states to be kept at commit."""

    bundle: Bundle
    events: Events
    rows_of_events: Rows
    transitions: Transitions


class Bundle:
    """Rows: `key` the caller's number, `state` a State, `is_open` whether a problem is, `changed_at` its last event.

    `slots[r]` holds the slot of reference r; `tracks[c]` is the track call c reads, None for `last`, and
    `track_rows[c]` the rows there.
    """

    def __init__(self, compiled: Compiled, number: int) -> None:
        self.compiled = compiled
        self.number = number
        self.table = Table()
        self.key: Rows = self.table.column(np.int64, 0)
        self.state: NDArray[np.int8] = self.table.column(np.int8, State.UNKNOWN)
        self.is_open: NDArray[np.bool_] = self.table.column(np.bool_, False)
        self.changed_at: Rows = self.table.column(np.int64, 0)
        self.slots: list[NDArray[np.int32]] = [self.table.column(np.int32, -1) for _ in compiled.references]
        self.tracks: list[Track | None] = [None] * len(compiled.calls)
        self.track_rows: list[NDArray[np.int32]] = [self.table.column(np.int32, -1) for _ in compiled.calls]

    def judge_group(self, rows: Rows, places: Rows, group: Group, series: Series, memory: Slots) -> Verdict:
        """Judge rows at the instants of the samples at `places` of `group`, each row in instant order.

        What an operand yields at an instant is what it yielded after its item's newest sample not later than that.
        """
        if len(self.slots) > 1:
            instants = group.instants[places]
            order = np.lexsort((instants, rows))
            rows, instants = rows[order], instants[order]
            is_new = np.append(True, (rows[1:] != rows[:-1]) | (instants[1:] != instants[:-1]))
            rows, instants = rows[is_new], instants[is_new]
            seen = [group.latest(slots[rows].astype(np.int64), instants) for slots in self.slots]
        else:
            if group.longest_run > 1:
                order = np.argsort(rows, kind="stable")
                rows, places = rows[order], places[order]
            instants, seen = group.instants[places], [places]
        operands = []
        for call, reference in enumerate(self.compiled.reference_of_call):
            track, seen_places = self.tracks[call], seen[reference]
            after = group.values if track is None else series.get(track)
            if after is None:
                operands.append(self._operand_now(call, rows, memory))
            elif len(self.slots) == 1:
                operands.append(after[seen_places])
            else:
                is_seen = seen_places >= 0
                operands.append(np.where(is_seen, after[seen_places], self._operand_now(call, rows, memory)))
        return self._conclude(rows, instants, operands)

    def judge_now(self, rows: Rows, now_us: int, memory: Slots) -> Verdict:
        """Judge rows, each once, by what their operands yield now."""
        operands = [self._operand_now(call, rows, memory) for call in range(len(self.tracks))]
        return self._conclude(rows, np.full(len(rows), now_us), operands)

    def only_readers_of(self, track: Track, rows: Rows, track_rows: Rows) -> Rows:
        """Choose the rows one of whose calls reads the row of `track` beside it."""
        is_reader = np.zeros(len(rows), bool)
        for own_track, own_rows in zip(self.tracks, self.track_rows, strict=True):
            if own_track is track:
                is_reader |= own_rows[rows] == track_rows
        return rows[is_reader]

    def keep(self, verdict: Verdict) -> None:
        """Remember what was concluded."""
        found = verdict.transitions
        self.state[found.rows] = found.states
        self.is_open[found.rows] = found.is_open
        self.changed_at[verdict.rows_of_events] = verdict.events.instants  # ascending per row: the latest stays

    def _operand_now(self, call: int, rows: Rows, memory: Slots) -> Floats:
        track = self.tracks[call]
        if track is None:
            return memory.last_value[self.slots[self.compiled.reference_of_call[call]][rows]]
        return track.value[self.track_rows[call][rows]]

    def _conclude(self, rows: Rows, instants: Rows, operands: list[Floats]) -> Verdict:
        outcome = self.compiled.judge(operands)
        found = follow(rows, outcome.truth, outcome.is_known, self.is_open[rows])
        changed = rows[found.places]
        value_call = self.compiled.value_call
        values = operands[value_call][found.places] if value_call is not None else np.full(len(changed), np.nan)
        events = Events(
            keys=self.key[changed],
            changes=found.changes,
            instants=np.maximum(instants[found.places], self.changed_at[changed]),
            values=values,
        )
        return Verdict(self, events, changed, found)
