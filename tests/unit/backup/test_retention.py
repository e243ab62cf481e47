"""Retention: what its invariants promise, for any chains, rules and clock; and its reasons."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backup.model import instant_name
from backup.pruning.strays import Stray, judge_strays
from backup.retention import Chain, ChainPoint, Rules, judge_chains

_NOW = datetime(2026, 11, 30, 4, 0, tzinfo=UTC)
_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)


def _chain(days_ago: float, *ages: float, broken: str | None = None) -> Chain:
    """A chain whose full is so old; `ages` are those of its incrementals."""
    instants = [_NOW - timedelta(days=age) for age in (days_ago, *ages)]
    points = tuple(ChainPoint(at=at, known_at=at + timedelta(minutes=5), broken=broken) for at in instants)
    return Chain(name=instant_name(instants[0]), points=points, size_bytes=10)


def _going(chains: list[Chain], rules: Rules, grace: timedelta = timedelta(0)) -> list[int]:
    """The places in `chains` of those that go."""
    names = {verdict.chain.name for verdict in judge_chains(chains, rules, grace, _NOW) if verdict.goes}
    return [place for place, chain in enumerate(chains) if chain.name in names]


_counting = st.dictionaries(
    st.sampled_from(("chains", "points", "daily", "weekly", "monthly", "yearly")), st.integers(0, 2), max_size=2
)
_within = st.sampled_from((None, None, 3 * _DAY))
_rules = st.builds(lambda within, counts: Rules(within=within, **counts), _within, _counting)
_words = st.sampled_from(((), (), (), ("a reason",)))


@st.composite
def _some_chains(draw: st.DrawFn) -> list[Chain]:
    starts = draw(st.lists(st.integers(-3 * 24, 900 * 24), unique=True, min_size=1, max_size=7))
    chains = []
    for hours in starts:
        at = _NOW - timedelta(hours=hours)
        points = []
        for broken in draw(st.lists(st.sampled_from((None, None, "damaged")), min_size=1, max_size=4)):
            points.append(ChainPoint(at=at, known_at=at + draw(st.sampled_from((_HOUR, 30 * _HOUR))), broken=broken))
            at += timedelta(hours=draw(st.integers(1, 40)))
        chains.append(
            Chain(
                name=instant_name(points[0].at), points=tuple(points), doubts=draw(_words), holds=draw(_words),
                uses=draw(_words), damage=draw(st.sampled_from((None, None, "a flipped bit"))),
            )
        )  # fmt: skip
    return chains


@settings(max_examples=50)
@given(_some_chains(), _rules, st.sampled_from((timedelta(0), _DAY)))
def test_whatever_the_rules_ask_what_must_stay_stays_and_each_chain_is_judged_once(
    chains: list[Chain], rules: Rules, grace: timedelta
) -> None:
    verdicts = judge_chains(chains, rules, grace, _NOW)
    assert sorted(each.chain.name for each in verdicts) == sorted(each.name for each in chains)
    going = {each.chain.name for each in verdicts if each.goes}
    assert not any(each.name in going for each in chains if each.doubts or each.holds or each.uses)
    restorable = {max(each.restorable): each.name for each in chains if each.restorable}
    assert not (restorable and restorable[max(restorable)] in going)
    past = {at: name for at, name in restorable.items() if at <= _NOW}
    assert not (past and past[max(past)] in going)
    sound = {max(each.restorable): each.name for each in chains if each.restorable and each.damage is None}
    past = {at: name for at, name in sound.items() if at <= _NOW}
    assert not (past and past[max(past)] in going)
    assert not (going and not restorable)
    assert not (going and rules.is_empty)
    assert all(each.reason for each in verdicts)


@settings(max_examples=50)
@given(_some_chains(), _rules, st.sampled_from((timedelta(0), _DAY)))
def test_what_is_left_is_left_at_the_next_look_too(chains: list[Chain], rules: Rules, grace: timedelta) -> None:
    left = [each.chain for each in judge_chains(chains, rules, grace, _NOW) if not each.goes]
    assert not any(each.goes for each in judge_chains(left, rules, grace, _NOW))


@settings(max_examples=50)
@given(_some_chains(), st.integers(1, 4), st.sampled_from(("daily", "weekly", "monthly", "yearly")))
def test_each_of_the_newest_days_weeks_months_or_years_keeps_its_newest_restorable_point(
    chains: list[Chain], count: int, rule: str
) -> None:
    form = {"daily": "%Y%m%d", "weekly": "%G%V", "monthly": "%Y%m", "yearly": "%Y"}[rule]
    rules = Rules(**{rule: count})  # type: ignore[arg-type]  # each of these counts
    stays = {each.chain.name for each in judge_chains(chains, rules, timedelta(0), _NOW) if not each.goes}
    newest: dict[str, tuple[datetime, str]] = {}
    for chain in chains:
        for at in chain.restorable:
            if at <= _NOW:
                newest[at.strftime(form)] = max(newest.get(at.strftime(form), (at, chain.name)), (at, chain.name))
    for _, name in sorted(newest.values(), reverse=True)[:count]:
        assert name in stays


@settings(max_examples=50)
@given(_some_chains(), _rules, _rules)
def test_more_rules_keep_more(chains: list[Chain], one: Rules, other: Rules) -> None:
    both = Rules(
        **{
            name: max((each for each in (getattr(one, name), getattr(other, name)) if each is not None), default=None)
            for name in ("within", "chains", "points", "daily", "weekly", "monthly", "yearly")
        }
    )
    for rules in (one, other):
        if not rules.is_empty:
            assert set(_going(chains, both)) <= set(_going(chains, rules))


def test_grandfather_father_and_son_keep_days_weeks_and_months() -> None:
    chains = [_chain(days) for days in (0.1, 1.1, 2.1, 3.1, 8.1, 9.1, 16.1, 40.1, 41.1, 75.1, 110.1)]
    assert _going(chains, Rules(daily=3, weekly=3, monthly=3)) == [3, 5, 6, 8, 10]


def test_a_chain_stays_for_one_of_its_points() -> None:
    chains = [_chain(1), _chain(20, 15, 3), _chain(40, 30)]
    assert _going(chains, Rules(within=5 * _DAY)) == [2]
    assert _going(chains, Rules(points=2)) == [2]
    assert _going(chains, Rules(chains=1)) == [1, 2]


def test_a_damaged_chain_takes_nobodys_place_and_goes_only_when_it_would_go_whole() -> None:
    chains = [_chain(1, broken="x"), _chain(2), _chain(3, broken="x"), _chain(4), _chain(5, broken="x"), _chain(6)]
    assert _going(chains, Rules(chains=2)) == [4, 5]
    assert _going(chains, Rules(daily=2)) == [4, 5]


def test_damage_that_a_verification_found_keeps_the_chain_before_and_lets_nothing_go() -> None:
    chains = [replace(_chain(1), damage="a flipped bit"), _chain(20), _chain(40)]
    assert _going(chains, Rules(chains=1)) == [2]
    assert _going([replace(chain, damage="said of all") for chain in chains], Rules(chains=2)) == [2]


def test_nothing_goes_while_nothing_can_be_restored() -> None:
    for rules in (Rules(chains=1), Rules(within=_DAY), Rules(daily=0)):
        assert _going([_chain(days, broken="x") for days in (2, 100, 300)], rules) == []


def test_that_time_goes_by_without_a_backup_or_that_the_pruners_clock_is_ahead_lets_nothing_go() -> None:
    for newest in (2, 400):
        chains = [_chain(newest + days) for days in (0, 3, 4, 6)]
        assert _going(chains, Rules(within=5 * _DAY), _DAY) == [3]
    assert _going([_chain(1, broken="x"), *chains], Rules(within=5 * _DAY), _DAY) == [4]


def test_points_of_the_future_push_nothing_out() -> None:
    chains = [_chain(-3), _chain(-2), _chain(-1), _chain(1), _chain(2), _chain(3)]
    assert _going(chains, Rules(points=2)) == [5]


def test_what_was_superseded_on_its_own_day_has_the_grace_too() -> None:
    """No rule ever wanted it, but whoever began to read it while it was the newest shall come to the end."""
    chains = [_chain(0.1), _chain(0.05)]
    assert _going(chains, Rules(daily=7), _DAY) == []
    assert _going(chains, Rules(daily=7), _HOUR) == [0]


def test_what_was_superseded_a_while_ago_stays_for_the_grace() -> None:
    chains = [_chain(0.2), _chain(3, 2)]
    assert _going(chains, Rules(chains=1)) == [1]
    assert _going(chains, Rules(chains=1), _DAY) == []
    assert _going(chains, Rules(chains=1), timedelta(hours=4)) == [1]
    reasons = {each.chain.name: each.reason for each in judge_chains(chains, Rules(chains=1), _DAY, _NOW)}
    assert "less than 24 hours" in reasons[chains[1].name]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"doubts": ("x.json.asc: it is no text",)}, "in doubt: x.json.asc"),
        ({"holds": ("case-12",)}, "held: case-12"),
        ({"uses": ("restored by safe",)}, "in use: restored by safe"),
    ],
)
def test_a_reason_says_what_keeps_a_chain(changes: dict[str, tuple[str, ...]], words: str) -> None:
    old = replace(_chain(300), **changes)  # type: ignore[arg-type]  # each a field of words
    verdicts = judge_chains([_chain(1), old], Rules(chains=1), timedelta(0), _NOW)
    assert [each.goes for each in verdicts] == [False, False]
    assert words in verdicts[1].reason


def _stray(hours_ago: float, chain: str = "20260101T000000Z", **changes: object) -> Stray:
    at = _NOW - timedelta(hours=hours_ago)
    found = Stray(chain=chain, at=at, changed_at=at, files={"duplicity-x": 1})
    return replace(found, **changes)  # type: ignore[arg-type]  # fields of it


def test_files_that_no_manifest_names_go_only_when_they_are_old() -> None:
    def going(*strays: Stray, chain: Chain | None = None) -> list[bool]:
        return [each.goes for each in judge_strays(strays, [_chain(1), chain or _chain(2)], 2 * _DAY, _NOW)]

    assert going(_stray(47), _stray(49)) == [False, True]
    assert going(_stray(100, changed_at=_NOW - _HOUR), _stray(100, changed_at=None)) == [False, True]
    assert going(_stray(100, at=None, changed_at=None), _stray(1, at=None, changed_at=_NOW - 3 * _DAY)) == [False, True]
    assert going(_stray(100, refused="x.json.asc: its signer is not known here")) == [False]
    for damaged in (_chain(9, broken="x"), replace(_chain(9), holds=("case",)), replace(_chain(9), uses=("verified",))):
        assert going(_stray(100, chain=damaged.name), chain=damaged) == [False]


def test_files_that_no_manifest_names_stay_while_nothing_can_be_restored() -> None:
    for chains in ([], [_chain(1, broken="x")]):
        (verdict,) = judge_strays([_stray(900)], chains, _DAY, _NOW)
        assert not verdict.goes
