"""Judges by SQL: what the ledgers say was appended against what the database holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import psycopg

from tests.trials.ledger import ENTRY
from tests.trials.plan import WAVE_HIGH, WAVE_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.trials.plan import Plan

_LINE: Final = np.dtype([("counter", "<i8"), ("boot", "<i8"), ("number", "<i8"), ("instant", "<i8")])
# A row of COPY BINARY: number of fields, then each field behind its length.
_ROW: Final = np.dtype([("fields", ">i2"), ("l1", ">i4"), ("item", ">i4"), ("l2", ">i4"), ("at", ">i8"), ("l3", ">i4"),
                        ("value", ">f8")])  # fmt: skip
_COPY_HEADER_BYTES: Final = 19
_COPY_TRAILER_BYTES: Final = 2
SAMPLES: Final = "COPY (SELECT item_id, at, value FROM samples) TO STDOUT (FORMAT BINARY)"
ITEMS: Final = "SELECT i.id, h.name, i.key FROM item i JOIN host h ON h.id = i.host_id"
EVENTS: Final = """
SELECT h.name, e.kind, (extract(epoch FROM e.at) * 1000000)::int8 - 946684800000000, count(o.id), count(o.sent_at)
FROM event e JOIN problem p ON p.id = e.problem_id JOIN host h ON h.id = p.host_id
LEFT JOIN outbox o ON o.event_id = e.id
GROUP BY e.id, h.name, e.kind, e.at ORDER BY e.at
"""
KEYS: Final = "SELECT key::text FROM outbox"


@dataclass(kw_only=True)
class Verdict:
    """What a trial found. Counts are of values, except `events…` and `notices…`."""

    appended: int = 0
    """What the ledgers name."""
    stored: int = 0
    lost: int = 0
    doubled: int = 0
    strange: int = 0
    """Stored and never appended."""
    events: int = 0
    events_lost: int = 0
    events_doubled: int = 0
    events_strange: int = 0
    notices: int = 0
    notices_untold: int = 0
    notices_repeated: int = 0
    """Told more than once under one key: allowed, by kills."""
    details: list[str] = field(default_factory=list)

    def faults(self) -> list[str]:
        """Say what must not be; nothing when all is well."""
        wanted_zero = ("lost", "doubled", "strange", "events_lost", "events_doubled", "events_strange",
                       "notices_untold")  # fmt: skip
        found = [f"{name.replace('_', ' ')}: {getattr(self, name)}" for name in wanted_zero if getattr(self, name)]
        return [*found, *self.details[:20]] if found else []

    def summary(self) -> str:
        return (
            f"{self.appended} values appended, {self.stored} stored, lost {self.lost}, doubled {self.doubled}; "
            f"{self.events} events, lost {self.events_lost}, doubled {self.events_doubled}; {self.notices} notices, "
            f"untold {self.notices_untold}, told again {self.notices_repeated}"
        )


@dataclass(frozen=True, eq=False)
class Ledger:
    """One source's ledger: `counters` named in it, and those that may be stored without being named."""

    counters: NDArray[np.int64]
    possible: NDArray[np.int64]

    @classmethod
    def read(cls, path: Path) -> Ledger:
        """Read a ledger; a counter that a killed life may have appended without noting it is `possible`."""
        data = path.read_bytes() if path.exists() else b""
        counters = np.frombuffer(data[: len(data) // ENTRY.size * ENTRY.size], _LINE)["counter"].astype(np.int64)
        everything = np.arange(1, (int(counters[-1]) if len(counters) else 0) + 2)
        return cls(counters, np.setdiff1d(everything, counters))


class Stored:
    """Everything the database holds as samples, by (host, key): instants (µs since 2000) and values."""

    def __init__(self, dsn: str) -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            self._names = {item: (host, key) for item, host, key in connection.execute(ITEMS)}
            with connection.cursor() as cursor, cursor.copy(SAMPLES) as copy:
                data = b"".join(bytes(part) for part in copy)
            self.events = connection.execute(EVENTS).fetchall()
            self.keys = [key for (key,) in connection.execute(KEYS)]
        rows = np.frombuffer(data[_COPY_HEADER_BYTES:-_COPY_TRAILER_BYTES], _ROW)
        order = np.argsort(rows["item"], kind="stable")
        rows = rows[order]
        items, begins = np.unique(rows["item"], return_index=True)
        parts = np.split(rows, begins[1:]) if len(items) else []
        self.samples: dict[tuple[str, str], NDArray[np.void]] = {
            self._names[int(item)]: part for item, part in zip(items, parts, strict=True)
        }


def judge(plan: Plan, dsn: str, told: Mapping[str, int], sources: Sequence[str] | None = None) -> Verdict:
    """Compare every source's ledger, or only those of `sources`, with the database; `told`: the webhook's keys."""
    stored = Stored(dsn)
    verdict = Verdict()
    nothing = np.zeros(0, _ROW)
    for name, _ in plan.sources:
        if sources is not None and name not in sources:
            continue
        ledger = Ledger.read(plan.ledger_file(name))
        for key in plan.item_keys:
            _judge_item(verdict, f"{name} {key}", ledger, stored.samples.get((name, key), nothing))
        _judge_events(verdict, name, stored.samples.get((name, WAVE_KEY), nothing), stored.events)
    verdict.notices = len(stored.keys)
    verdict.notices_untold = sum(1 for key in stored.keys if key not in told)
    verdict.notices_repeated = sum(1 for key in stored.keys if told.get(key, 0) > 1)
    return verdict


def _judge_item(verdict: Verdict, name: str, ledger: Ledger, rows: NDArray[np.void]) -> None:
    counters, counts = np.unique(rows["value"].astype(np.int64) % WAVE_HIGH, return_counts=True)
    lost = np.setdiff1d(ledger.counters, counters)
    strange = np.setdiff1d(counters, np.union1d(ledger.counters, ledger.possible))
    doubled = counters[counts > 1]
    verdict.appended += len(ledger.counters)
    verdict.stored += len(rows)
    verdict.lost += len(lost)
    verdict.strange += len(strange)
    verdict.doubled += int((counts - 1).sum())
    for what, which in (("lost", lost), ("doubled", doubled), ("never appended", strange)):
        if len(which):
            verdict.details.append(f"{name}: {what}: {len(which)} from counter {which[0]} to {which[-1]}")


def _judge_events(
    verdict: Verdict, name: str, rows: NDArray[np.void], events: Sequence[tuple[str, str, int, int, int]]
) -> None:
    """Hold every crossing of the stored wave against the events, from the first resolved one on; one notice an event.

    Before that the trigger may not have been bound yet: its items were new.
    """
    began = min((at for host, kind, at, _, _ in events if host == name and kind == "resolved"), default=None)
    if began is None:
        return
    found = [(kind, at) for host, kind, at, _, _ in events if host == name and at >= began]
    _, first = np.unique(rows["at"], return_index=True)  # in the order of time, a doubled sample once
    wave = rows[first]
    is_high = wave["value"] >= WAVE_HIGH // 2
    crossings = [
        ("opened" if is_high[place] else "resolved", int(wave["at"][place]))
        for place in np.flatnonzero(np.diff(is_high.astype(np.int8), prepend=0))
        if wave["at"][place] >= began
    ]
    verdict.events += len(found)
    verdict.events_doubled += len(found) - len(set(found))
    lost, strange = sorted(set(crossings) - set(found)), sorted(set(found) - set(crossings))
    verdict.events_lost += len(lost)
    verdict.events_strange += len(strange)
    at_counter = {int(at): int(value) % WAVE_HIGH for at, value in zip(wave["at"], wave["value"], strict=True)}
    for what, which in (("lost", lost), ("strange", strange)):
        verdict.details += [
            f"{name}: {what} event: {kind} at {at}, counter {at_counter.get(at)}" for kind, at in which[:5]
        ]
    owed = [count for host, _, _, count, _ in events if host == name]
    if any(count != 1 for count in owed):
        verdict.events_doubled += sum(count - 1 for count in owed if count > 1)
        verdict.notices_untold += sum(1 for count in owed if count < 1)
        verdict.details.append(f"{name}: notices per event: {sorted(set(owed))}")
