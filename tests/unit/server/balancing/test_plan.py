"""What the balancing of proxies promises: evenness within a tolerance, few moves, and then none."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from server.balancing.plan import MARGIN, TARGET, TOLERANCE, Move, Place, Proxy, Terms, even_out, follow, loads_of
from tests.unit.server.balancing.world import PAUSE, TERMS, world

HOUR = 60 * TERMS.every_seconds
DAY = 24 * HOUR
A, B, C = (bytes([n]) * 32 for n in (1, 2, 3))
NAMED = [Proxy(key=key, name=name, standing="steady") for key, name in ((A, "a"), (B, "b"), (C, "c"))]


def unequal(count: int) -> list[float]:
    return [100.0 * (1 + n % 10) for n in range(count)]


@settings(max_examples=30)
@given(
    loads=st.lists(st.floats(1, 10_000), min_size=1, max_size=40),
    proxies=st.integers(2, 5),
    at=st.lists(st.integers(0, 4), min_size=1, max_size=8),
)
def test_with_constant_loads_moving_ends_and_nothing_moves_ever_after(
    loads: list[float], proxies: int, at: list[int]
) -> None:
    each = world(loads, proxies, at)
    each.pass_time(3 * HOUR)
    assert each.moved("came") == len(loads)
    before = len(each.moves)
    each.pass_time(HOUR)
    assert len(each.moves) == before
    # What is left uneven could only be moved to and fro: no source fits between the fullest and the emptiest.
    carried = loads_of(each.proxies, each.places)
    mean = sum(carried.values()) / len(carried)
    fullest, emptiest = max(carried, key=lambda key: carried[key]), min(carried, key=lambda key: carried[key])
    gap = carried[fullest] - carried[emptiest] - MARGIN * mean
    is_even = carried[fullest] <= mean * (1 + TOLERANCE) + 1e-6
    assert is_even or not any(place.home == fullest and place.load < gap - 1e-6 for place in each.places)


@settings(max_examples=3)
@given(seed=st.integers(0, 1 << 32), spread=st.floats(0.1, 2.0), proxies=st.integers(2, 4))
def test_with_loads_that_never_rest_each_source_moves_at_most_nine_times_a_day(
    seed: int, spread: float, proxies: int
) -> None:
    chance = random.Random(seed)
    each = world(unequal(20), proxies, [0])
    each.noise = lambda _, load: load * math.exp(chance.gauss(0.0, spread))
    each.pass_time(DAY)
    counts = [sum(m.kind == "moved" and m.source == place.source for m in each.moves) for place in each.places]
    assert max(counts) <= 9


def test_loads_that_differ_by_a_tenth_from_look_to_look_move_nothing_once_it_is_even() -> None:
    chance = random.Random(7)
    each = world(unequal(60), 3, [0])
    each.pass_time(2 * HOUR)
    assert each.imbalance() <= 1 + TARGET
    each.noise = lambda _, load: load * chance.uniform(0.9, 1.1)
    before = len(each.moves)
    each.pass_time(DAY)
    assert len(each.moves) == before


def test_all_sources_at_one_proxy_are_spread_a_tenth_a_minute() -> None:
    each = world(unequal(60), 3, [0])
    began = each.now
    each.pass_time(HOUR)
    assert each.imbalance() <= 1 + TARGET
    instants = sorted({round((place.moved_at or began) - began) for place in each.places if place.moved_at})
    assert all(b - a >= TERMS.every_seconds for a, b in pairwise(instants))
    assert all(sum(place.moved_at == began + at for place in each.places) <= 6 for at in instants)
    assert each.moved("moved") <= 45, "each goes once to where it belongs"


def test_a_proxy_that_fails_gives_its_sources_to_all_others_at_once_and_is_filled_slowly_when_it_is_back() -> None:
    each = world(unequal(90), 3, [0, 1, 2])
    each.pass_time(HOUR)
    at_b, at_c = each.sources_at(B), each.sources_at(C)
    each.let(A, "gone")
    assert min(each.sources_at(B) - at_b, each.sources_at(C) - at_c) >= 8, "by their own lists, before any decision"
    each.pass_time(PAUSE)
    assert each.sources_at(A) == 0
    assert each.moved("followed") == 90 - at_b - at_c
    each.pass_time(HOUR)
    assert each.imbalance() <= 1 + TOLERANCE
    each.let(A, "steady")
    each.pass_time(TERMS.every_seconds)
    assert each.sources_at(A) <= 2 * math.ceil(0.1 * 90)
    each.pass_time(2 * HOUR)
    assert each.imbalance() <= 1 + TOLERANCE
    before = len(each.moves)
    each.pass_time(4 * HOUR)
    assert len(each.moves) == before


def test_a_proxy_that_comes_and_goes_every_hour_moves_each_source_at_most_once_an_hour() -> None:
    each = world(unequal(60), 3, [0, 1, 2])
    each.pass_time(HOUR)
    for _ in range(6):
        before = {place.source: sum(m.source == place.source for m in each.moves) for place in each.places}
        each.let(A, "gone")
        each.pass_time(HOUR)
        each.let(A, "steady")
        each.pass_time(HOUR)
        after = {place.source: sum(m.source == place.source for m in each.moves) for place in each.places}
        assert max(after[source] - before[source] for source in after) <= 3


def test_a_source_that_is_not_heard_where_it_was_sent_stays_where_it_is() -> None:
    terms = Terms()
    place = Place(source=b"s", load=1.0, home=A, heard=B, since=1000.0, apart_since=1000.0)
    assert follow(NAMED, [place], terms, 1000.0 + terms.settle_seconds) == []
    (move,) = follow(NAMED, [place], terms, 1001.0 + terms.settle_seconds)
    assert (move.to, move.kind) == (B, "stayed")
    assert "not heard at a" in move.reason


def test_a_source_that_is_elsewhere_for_a_moment_keeps_its_home() -> None:
    place = Place(source=b"s", load=1.0, home=A, heard=B, since=0.0, apart_since=9000.0)
    assert follow(NAMED, [place], TERMS, 9010.0) == []


def test_a_source_is_not_sent_again_to_a_proxy_at_which_it_did_not_stay() -> None:
    places = [
        Place(source=bytes([n]) * 16, load=10.0, home=A, heard=A, barred=frozenset([B]) if n < 6 else frozenset())
        for n in range(6)
    ]
    moves = even_out(NAMED[:2], places, TERMS, 1e6)
    assert moves == []
    assert {move.to for move in even_out(NAMED, places, TERMS, 1e6)} == {C}


def test_only_steady_proxies_are_given_sources_and_nothing_moves_while_others_are_under_way() -> None:
    places = [Place(source=bytes([n]) * 16, load=10.0, home=A, heard=A) for n in range(20)]
    uncertain = [NAMED[0], replace(NAMED[1], standing="uncertain"), NAMED[2]]
    moves = even_out(uncertain, places, TERMS, 1e6)
    assert [move.to for move in moves] == [C, C]
    sent = [replace(p, home=C, since=1e6) if n < 2 else p for n, p in enumerate(places)]
    assert even_out(uncertain, sent, TERMS, 1e6 + 1) == []


def test_what_cannot_be_moved_counts_where_it_is() -> None:
    fixed = [Place(source=bytes([n]) * 16, load=10.0, home=A, heard=A, is_movable=False) for n in range(9)]
    free = [Place(source=b"f" * 16, load=1.0, home=A, heard=A)]
    (move,) = even_out(NAMED[:2], fixed + free, TERMS, 1e6)
    assert move == Move(source=b"f" * 16, to=B, kind="moved", reason="a carried 2.00 of an even share, b 0.00", moves=1)
    polling = [NAMED[0], replace(NAMED[1], own_load=200.0)]
    assert even_out(polling, fixed + free, TERMS, 1e6) == []
