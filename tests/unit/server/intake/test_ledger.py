"""Every number ends in one class, and what the ledger keeps of gaps is what it says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.model.gaps import Gap, Run
from core.model.ranges import RangeSet
from server.intake import ledger as module
from server.intake.ledger import Ledger
from server.store.received import Received, ReceivedDelta

LIFE = (1, 9)
SPAN = st.tuples(st.integers(1, 30), st.integers(0, 5)).map(lambda pair: (pair[0], pair[0] + pair[1]))
EVENT = st.tuples(st.sampled_from(["stored", "lost", "refused", "closed"]), SPAN)


def delta(kind: str, first: int, last: int) -> ReceivedDelta:
    span = RangeSet([(first, last)])
    if kind == "stored":
        return ReceivedDelta(source_id=1, boot=9, ranges=span, runs=(Run(first, last, first * 10, last * 10 + 5),))
    if kind == "lost":
        return ReceivedDelta(source_id=1, boot=9, lost=span)
    if kind == "refused":
        return ReceivedDelta(source_id=1, boot=9, refused=span)
    return ReceivedDelta(source_id=1, boot=9, last_number=last)


@given(st.lists(EVENT, max_size=15))
def test_whatever_is_said_of_a_number_it_counts_once_and_stored_wins(events: list[tuple[str, tuple[int, int]]]) -> None:
    ledger, said = Ledger(), dict[int, str]()
    weight = {"stored": 3, "refused": 2, "lost": 1}
    for kind, (first, last) in events:
        ledger.commit([delta(kind, first, last)])
        if kind != "closed":
            for number in range(first, last + 1):
                said[number] = max(said.get(number, "lost"), kind, key=weight.__getitem__)
    account = ledger.account(LIFE)
    for kind, ranges in (("stored", account.stored), ("lost", account.lost), ("refused", account.refused)):
        assert ranges == RangeSet((number, number) for number, last in said.items() if last == kind)
    everything = account.stored.count + account.lost.count + account.refused.count + account.open.count
    assert everything == account.highest
    assert RangeSet(gap[:2] for gap in account.gaps.gaps) == account.stored.missing(1, account.stored.highest)


@given(st.lists(st.lists(SPAN, min_size=1, max_size=3), max_size=10))
def test_the_rows_that_go_and_come_leave_what_the_ledger_knows(groups: list[list[tuple[int, int]]]) -> None:
    ledger, rows = Ledger(), dict[int, Gap]()
    for spans in groups:
        fresh = RangeSet(spans).without(ledger.account(LIFE).stored)
        deltas = [delta("stored", first, last) for first, last in fresh]
        gone, come = ledger.gap_changes(deltas)
        for _, gap in gone:
            assert rows.pop(gap.first) == gap
        for life, gap in come:
            assert (life, rows.setdefault(gap.first, gap)) == (LIFE, gap)
        ledger.commit(deltas)
        assert tuple(sorted(rows.values())) == ledger.account(LIFE).gaps.gaps


def test_of_a_life_in_shreds_the_newest_gaps_are_kept_and_tell_the_next_reign_what_is_missing() -> None:
    ledger, most = Ledger(), module.MAX_KEPT_GAPS
    shreds = [delta("stored", number, number) for number in range(2, 2 * most + 200, 2)]
    gone, come = ledger.gap_changes(shreds)
    assert (len(gone), len(come)) == (0, most)
    ledger.commit(shreds)
    stored = ledger.account(LIFE).stored
    row = Received(
        source_id=1, boot=9, ranges=stored, lost=RangeSet(), refused=RangeSet(), last_number=None, closed_at=None
    )
    next_reign = Ledger({LIFE: row}, {LIFE: [gap for _, gap in come]})
    assert next_reign.missed_until() == ledger.missed_until()
    last = 2 * most + 199
    gone, come = ledger.gap_changes([delta("stored", last - 2, last - 2)])
    assert [gap.first for _, gap in gone] == [last - 2]
    assert [gap.first for _, gap in come] == [199 - 2], "the next older one takes its place"


def test_a_source_is_known_to_miss_records_until_the_one_behind_its_newest_gap() -> None:
    ledger = Ledger()
    ledger.commit([delta("stored", 1, 2), delta("stored", 5, 6), delta("stored", 9, 9)])
    assert ledger.missed_until() == {1: 90}
    ledger.commit([delta("stored", 7, 8)])
    assert ledger.missed_until() == {1: 50}
    assert ledger.account(LIFE).gaps.skipped_until([Run(10, 11, 100, 115), Run(13, 13, 130, 135)]) == 130
    assert ledger.account(LIFE).gaps.skipped_until([Run(3, 3, 30, 35), Run(10, 11, 100, 115)]) is None
