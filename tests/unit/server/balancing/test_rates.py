"""How much a source sends: true from the first look on, smooth afterwards, and not learnt from who cannot know."""

from __future__ import annotations

import pytest

from server.balancing.rates import Rates

S, T = b"s" * 16, b"t" * 16


def test_a_steady_source_is_known_from_its_first_look_and_a_step_is_followed_within_some_windows() -> None:
    rates = Rates(60.0)
    rates.fold({S: 500}, 5.0, [S], [])
    assert rates.of(S) == pytest.approx(100.0)
    for _ in range(12):
        rates.fold({S: 1000}, 5.0, [S], [])
    assert 160 < rates.of(S) < 200
    for _ in range(60):
        rates.fold({S: 1000}, 5.0, [S], [])
    assert rates.of(S) == pytest.approx(200.0, rel=0.01)


def test_a_source_that_sends_every_half_minute_is_averaged() -> None:
    rates = Rates(120.0)
    seen = []
    for look in range(240):
        rates.fold({S: 3000} if look % 6 == 0 else {}, 5.0, [S], [])
        seen.append(rates.of(S))
    assert all(80 < rate < 125 for rate in seen[120:])


def test_what_came_by_a_proxy_that_is_behind_says_nothing() -> None:
    rates = Rates(60.0)
    rates.recall(S, 100.0)
    rates.recall(T, 100.0)
    for _ in range(50):
        rates.fold({T: 500}, 5.0, [S, T], [S])
    assert rates.of(S) == 100.0
    assert rates.of(T) == pytest.approx(100.0)
    rates.fold({}, 5.0, [T], [])
    assert rates.of(S) == 0.0, "a source that is no more is forgotten"
