"""What is stored, what is a duplicate, what is refused and why."""

from __future__ import annotations

from array import array
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from core.model.ranges import RangeSet
from core.model.record import ItemEntry, Origin, pack_dictionary, pack_values
from server.ingest.ended import refused_numbers
from server.intake import screening
from server.intake.ledger import Ledger
from server.intake.screening import AHEAD_US, believable, screen
from server.own.identity import OWN_KEY, OWN_SOURCE
from server.store.instants import to_us
from server.store.peers import Source
from server.store.received import ReceivedDelta
from tests.unit.server.intake.arrivals import (
    AGENT_KEY,
    FOREIGN,
    MINE,
    MOVED_AT,
    OTHER_PROXY_KEY,
    PROXY_KEY,
    REVOKED_KEY,
    arrival,
    directory,
)

if TYPE_CHECKING:
    from uuid import UUID

    import pytest

    from server.intake.screening import Screened

NOW = to_us(MOVED_AT) + 3_600_000_000
DAY = 86_400_000_000


def made(number: int, at: int = NOW, source: UUID = MINE, value: float = 1.0) -> bytes:
    return pack_values(Origin(source, 5), number, 1, array("I", [1]), [at], array("d", [value]))


def screened(*records: tuple[bytes, bytes], ledger: Ledger | None = None) -> Screened:
    arrivals = [arrival(record, key) for record, key in records]
    return screen(arrivals, ledger or Ledger(), directory(), believable(NOW, timedelta(days=30)))


def test_a_record_of_a_source_is_admitted_from_its_own_key_and_from_its_groups_proxy() -> None:
    result = screened((made(1), AGENT_KEY), (made(2), OTHER_PROXY_KEY))
    assert [admitted.arrival.header.number for admitted in result.admitted] == [1, 2]
    assert result.admitted[0].life == (1, 5)


def test_a_proxy_may_relay_what_was_sampled_while_the_source_was_its_own_and_nothing_later() -> None:
    before, after = to_us(MOVED_AT) - 1, to_us(MOVED_AT)
    result = screened((made(1, before), PROXY_KEY), (made(2, after), PROXY_KEY))
    assert [admitted.arrival.header.number for admitted in result.admitted] == [1]
    assert [refusal.source for refusal in result.refused] == [None], "its true source's account stays untouched"


def test_what_is_no_sample_may_come_by_the_present_proxy_however_old_it_is() -> None:
    """A life's dictionary, never delivered before the source moved: without it all the life's samples are nothing."""
    entry = [ItemEntry(number=1, key="a")]
    dictionary = pack_dictionary(Origin(MINE, 5), 1, 1, entry, to_us(MOVED_AT) - 1)
    later = pack_dictionary(Origin(MINE, 5), 2, 2, entry, to_us(MOVED_AT) + 1)
    result = screened((dictionary, OTHER_PROXY_KEY), (later, PROXY_KEY))
    assert [admitted.arrival.header.number for admitted in result.admitted] == [1]
    assert [refusal.arrival.header.number for refusal in result.refused] == [2], "the former one has no say any more"


def test_an_agent_speaks_for_nobody_else_and_a_revoked_or_unknown_key_for_nobody() -> None:
    result = screened((made(1, source=FOREIGN), AGENT_KEY), (made(1), REVOKED_KEY), (made(1), b"?" * 32))
    assert not result.admitted
    assert len(result.reasons()) == 2


def test_what_was_refused_or_is_twice_in_the_group_is_a_duplicate_but_what_was_lost_may_still_come() -> None:
    ledger = Ledger()
    ledger.commit(
        [
            ReceivedDelta(source_id=1, boot=5, ranges=RangeSet([(1, 3)])),
            ReceivedDelta(source_id=1, boot=5, refused=RangeSet([(4, 4)])),
            ReceivedDelta(source_id=1, boot=5, lost=RangeSet([(5, 5)])),
        ]
    )
    records = [(made(number), AGENT_KEY) for number in (2, 4, 5, 6, 6)]
    result = screened(*records, ledger=ledger)
    assert [each.header.number for each in result.duplicates] == [4, 6]
    assert [each.arrival.header.number for each in result.admitted] == [5, 6]
    assert [each.arrival.header.number for each in result.repeated] == [2], "the store knows whether it is the same"


def test_another_record_under_a_number_that_is_stored_or_comes_in_the_group_is_no_duplicate() -> None:
    ledger = Ledger()
    ledger.commit([ReceivedDelta(source_id=1, boot=5, ranges=RangeSet([(1, 2)]))])
    records = [made(2), made(2, value=2), made(3), made(3, value=2), made(3), made(3, value=2)]
    result = screened(*((record, AGENT_KEY) for record in records), ledger=ledger)
    assert [bytes(each.arrival.record) for each in result.admitted] == [made(3)]
    assert [bytes(each.arrival.record) for each in result.repeated] == [made(2), made(2, value=2), made(3, value=2)]
    assert [bytes(each.record) for each in result.duplicates] == [made(3), made(3, value=2)]


def test_under_a_stored_number_too_the_future_is_refused_and_the_long_past_has_had_its_time() -> None:
    ledger = Ledger()
    ledger.commit([ReceivedDelta(source_id=1, boot=5, ranges=RangeSet([(1, 2)]))])
    ahead, old = made(1, NOW + AHEAD_US + 1), made(2, NOW - 30 * DAY - 1)
    result = screened((ahead, AGENT_KEY), (old, AGENT_KEY), ledger=ledger)
    assert [each.arrival.header.number for each in result.refused] == [1]
    assert [each.header.number for each in result.duplicates] == [2]
    assert not result.repeated


def test_instants_too_far_ahead_or_older_than_retention_are_refused_in_the_sources_account() -> None:
    result = screened(
        (made(1, NOW + AHEAD_US + 1), AGENT_KEY),
        (made(2, NOW - 30 * DAY - 1), OTHER_PROXY_KEY),
        (made(3, NOW - 30 * DAY - 1), AGENT_KEY),
        (made(4, NOW + AHEAD_US), AGENT_KEY),
    )
    assert [each.arrival.header.number for each in result.admitted] == [4]
    assert [(each.arrival.header.number, each.source is not None) for each in result.refused] == [
        (1, True),
        (2, False),
        (3, True),
    ]


def test_a_run_with_one_bad_record_loses_only_that_one() -> None:
    """Runs of samples are judged at once only where nothing speaks against any of them."""
    ledger = Ledger()
    ledger.commit([ReceivedDelta(source_id=1, boot=5, ranges=RangeSet([(3, 3)]))])
    records = [made(number) for number in (1, 2, 3)] + [made(4, NOW + AHEAD_US + 1), made(5), made(5)]
    result = screened(*((record, AGENT_KEY) for record in records), ledger=ledger)
    assert [admitted.arrival.header.number for admitted in result.admitted] == [1, 2, 5]
    assert [repeated.arrival.header.number for repeated in result.repeated] == [3]
    assert [duplicate.header.number for duplicate in result.duplicates] == [5]
    assert [refusal.arrival.header.number for refusal in result.refused] == [4]


def test_runs_that_cross_each_other_stay_in_their_order() -> None:
    records = [(made(1), AGENT_KEY), (made(2), AGENT_KEY), (made(3), AGENT_KEY)]
    result = screened(*records, (made(2), OTHER_PROXY_KEY))
    assert [admitted.arrival.header.number for admitted in result.admitted] == [1, 2, 3]
    assert [duplicate.header.number for duplicate in result.duplicates] == [2]


def test_what_the_server_says_itself_comes_under_its_own_key_only_and_that_key_speaks_for_nobody_else() -> None:
    known = directory()
    known = replace(
        known, sources={**known.sources, OWN_SOURCE.bytes: Source(id=9, uuid=OWN_SOURCE, name="own", host_id=None)}
    )
    assert known.objection(OWN_KEY, OWN_SOURCE.bytes, 0) is None
    assert known.may_relay(OWN_KEY, OWN_SOURCE.bytes, 0, 1)
    for key in (AGENT_KEY, PROXY_KEY):
        assert known.objection(key, OWN_SOURCE.bytes, 0)
        assert not known.may_relay(key, OWN_SOURCE.bytes, 0, 1)
    assert known.objection(OWN_KEY, MINE.bytes, 0)
    assert not known.may_relay(OWN_KEY, MINE.bytes, 0, 1)


def test_a_source_that_skips_numbers_is_refused_what_would_make_ever_more_pieces_of_its_life(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(screening, "MOST_PIECES", 3)
    ledger, refused = Ledger(), RangeSet()
    for number in range(2, 400, 2):
        result = screened((made(number), AGENT_KEY), ledger=ledger)
        stored = RangeSet((each.arrival.header.number, each.arrival.header.number) for each in result.admitted)
        ledger.commit([ReceivedDelta(source_id=1, boot=5, ranges=stored), *refused_numbers([], result.refused)])
        refused.update((each.arrival.header.number, each.arrival.header.number) for each in result.refused)
    account = ledger.account((1, 5))
    assert list(account.stored) == [(2, 2), (4, 4), (6, 6)]
    assert list(account.refused) == [(7, 398)], "with those that were skipped, so this grows no pieces either"
    assert account.open == RangeSet([(1, 1), (3, 3), (5, 5)])
    assert refused.count == 196


def test_what_fills_gaps_and_what_comes_in_one_group_is_judged_by_the_pieces_it_makes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(screening, "MOST_PIECES", 3)
    ledger = Ledger()
    ledger.commit([ReceivedDelta(source_id=1, boot=5, ranges=RangeSet([(1, 1), (20, 20)]))])
    numbers = (10, 11, 5, 2, 21, 22, 30, 31)
    result = screened(*((made(number), AGENT_KEY) for number in numbers), ledger=ledger)
    assert [admitted.arrival.header.number for admitted in result.admitted] == [10, 11, 2, 21, 22]
    assert [(each.first, each.last) for each in result.refused] == [(2, 9), (23, 30), (23, 31)]
    assert all("a restart begins a new one" in each.reason for each in result.refused)
