"""Which files a sampled verification reads: in turn, until all were read, in an order nobody else knows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backup.sampling import Sampling
from backup.settings.checks import check_share, parse_share


@pytest.mark.parametrize(("count", "share"), [(1, 0.01), (3, 0.1), (100, 0.1), (97, 0.3), (10, 1.0)])
def test_all_files_are_read_after_so_many_samples_as_the_share_wants(count: int, share: float) -> None:
    names = [f"volume {number}" for number in range(count)]
    sampling, seen = Sampling(share=share, seed="of this station"), set[str]()
    for _ in range(min(count, round(1 / share + 0.5))):
        chosen, after = sampling.choose(names)
        assert 1 <= len(chosen) <= share * count + 1
        seen |= chosen
        sampling = replace(sampling, after=after)
    assert seen == set(names)


def test_what_came_meanwhile_takes_its_turn_and_what_went_is_not_waited_for() -> None:
    sampling, seen = Sampling(share=0.25, seed="s"), set[str]()
    for turn in range(12):
        names = {f"volume {number}" for number in range(turn, 20 + turn)}
        chosen, after = sampling.choose(names)
        assert chosen <= names
        seen |= chosen
        sampling = replace(sampling, after=after)
    assert {f"volume {number}" for number in range(11, 20)} <= seen  # there all the time


def test_the_order_is_another_at_every_station() -> None:
    names = [str(number) for number in range(100)]
    first, _ = Sampling(share=0.1, seed="one").choose(names)
    second, _ = Sampling(share=0.1, seed="two").choose(names)
    assert first != second


def test_what_was_damaged_is_read_whatever_its_turn_and_nothing_is_read_of_nothing() -> None:
    names = [str(number) for number in range(100)]
    chosen, _ = Sampling(share=0.01, seed="s", always=frozenset({"7", "8", "gone"})).choose(names)
    assert {"7", "8"} < chosen | {"any"}
    assert len(chosen) <= 3
    assert Sampling(share=0.5, seed="s", after="here").choose([]) == (frozenset(), "here")


def test_a_share_is_a_percentage() -> None:
    assert [parse_share(text) for text in ("10%", "0.5 %", "100%")] == [0.1, 0.005, 1.0]
    for wrong in ("10", "0%", "101%", "-1%", "ten", ""):
        assert "expected a share" in (check_share(wrong) or ""), wrong
