"""A key alive at two proxies is told from an agent that fails over."""

from __future__ import annotations

from server.intake.clones import LIFTED_SECONDS, PROVEN_SECONDS, CloneWatch

KEY, HERE, THERE = b"k" * 32, b"h" * 32, b"t" * 32
FIRST, SECOND = 1, 2


def report(watch: CloneWatch, now: float, **heard: float) -> list[tuple[bytes, bytes]]:
    """Let proxies report when they heard the key's link last, in seconds; return what is barred just now."""
    for place, at in heard.items():
        proxy, session = (HERE, FIRST) if place == "here" else (THERE, SECOND)
        watch.note(KEY, proxy, session, round(at * 1e6), now)
    return watch.judge(now)


def test_the_later_one_of_two_that_live_on_side_by_side_is_shut_out_where_it_is() -> None:
    watch = CloneWatch()
    report(watch, 0, here=0)
    barred = [pair for now in range(2, 30, 2) for pair in report(watch, now, here=now, there=now)]
    assert barred == [(THERE, KEY)]
    assert watch.barred(THERE) == {KEY}
    assert watch.barred(HERE) == frozenset()
    assert watch.is_barred(KEY)


def test_an_agent_that_fails_over_is_not_shut_out_although_its_old_link_is_still_reported() -> None:
    watch = CloneWatch()
    report(watch, 0, here=0)
    for now in range(2, 120, 2):
        assert report(watch, now, here=1, there=now) == []
    assert not watch.is_barred(KEY)


def test_an_agent_that_goes_to_and_fro_is_not_shut_out() -> None:
    watch = CloneWatch()
    for now in range(0, 200, 2):
        place, proxy = divmod(now, 10)[0], HERE if divmod(now, 10)[0] % 2 else THERE
        watch.note(KEY, proxy, place, now * 1_000_000, now)
        assert watch.judge(now) == []


def test_the_bar_is_lifted_when_the_elder_is_gone_for_good_and_not_before() -> None:
    watch = CloneWatch()
    now = 0.0
    while not watch.is_barred(KEY):
        now += 2
        assert now < 3 * PROVEN_SECONDS
        report(watch, now, here=now, there=now + 1)
    gone = now
    while now < gone + LIFTED_SECONDS - 4:
        now += 2
        watch.judge(now)
        assert watch.barred(THERE) | watch.barred(HERE)
    watch.judge(gone + LIFTED_SECONDS + 4)
    assert not watch.is_barred(KEY)
