from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from core.model.ranges import RangeSet
from server.store.received import Received, ReceivedDelta, from_multirange, have_ended, to_multirange


def test_multiranges_are_read_in_postgresqls_canonical_form() -> None:
    assert from_multirange("{[1,5),[7,8)}") == RangeSet([(1, 4), (7, 7)])
    assert from_multirange("{}") == RangeSet()
    assert to_multirange(RangeSet([(1, 4), (7, 7)])) == "{[1,4],[7,7]}"


@settings(deadline=None)  # a loaded machine is no failure
@given(st.lists(st.tuples(st.integers(1, 2**62), st.integers(0, 1000)), max_size=20))
def test_canonical_text_and_range_set_agree(pieces: list[tuple[int, int]]) -> None:
    ranges = RangeSet((first, first + more) for first, more in pieces)
    canonical = "{" + ",".join(f"[{first},{last + 1})" for first, last in ranges) + "}"
    assert from_multirange(canonical) == ranges


def test_a_life_is_complete_only_when_every_number_has_ended() -> None:
    def life(ranges: RangeSet, last_number: int | None) -> Received:
        return Received(
            source_id=1, boot=1, ranges=ranges, lost=RangeSet([(3, 3)]), refused=RangeSet([(5, 5)]),
            last_number=last_number, closed_at=None,
        )  # fmt: skip

    assert life(RangeSet([(1, 2), (4, 4)]), 5).is_complete
    assert not life(RangeSet([(1, 2), (4, 4)]), 6).is_complete
    assert not life(RangeSet([(1, 2)]), 5).is_complete
    assert not life(RangeSet([(1, 2), (4, 4)]), None).is_complete


def test_a_commit_counts_as_made_only_when_all_of_it_is_in_the_store() -> None:
    """Another server may have stored some of it since it took over: that does not make the rest stored."""
    mine = [
        ReceivedDelta(source_id=1, boot=1, ranges=RangeSet([(1, 10)])),
        ReceivedDelta(source_id=2, boot=1, ranges=RangeSet([(5, 8)]), refused=RangeSet([(9, 9)])),
    ]

    def stored(source_id: int, ranges: RangeSet, refused: RangeSet) -> Received:
        return Received(
            source_id=source_id, boot=1, ranges=ranges, lost=RangeSet(), refused=refused, last_number=None,
            closed_at=None,
        )  # fmt: skip

    second = stored(2, RangeSet([(5, 8)]), RangeSet([(9, 9)]))
    assert not have_ended(mine, {})
    assert not have_ended(mine, {(2, 1): second})
    assert not have_ended(mine, {(1, 1): stored(1, RangeSet([(1, 9)]), RangeSet()), (2, 1): second})
    assert have_ended(mine, {(1, 1): stored(1, RangeSet([(1, 10)]), RangeSet()), (2, 1): second})
    assert not have_ended([ReceivedDelta(source_id=1, boot=1, lost=RangeSet([(1, 2)]))], {})
