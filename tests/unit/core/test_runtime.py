"""Clock, counters, log lines, backoff and supervision."""

import asyncio
import io
import json
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.runtime import logging
from core.runtime.backoff import Backoff
from core.runtime.clock import ManualClock, SharedClock, SystemClock
from core.runtime.counters import Counters
from core.runtime.supervise import PermanentFault, Supervisor
from tests.support.waiting import until


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    logging.configure(stream=stream)
    yield stream
    logging.configure()


async def test_sleepers_wake_in_order_at_their_own_instants() -> None:
    clock = ManualClock(now_us=0, monotonic=0.0)
    woken: list[tuple[str, float, int]] = []

    async def sleeper(name: str, *naps: float) -> None:
        for nap in naps:
            await clock.sleep(nap)
            woken.append((name, clock.monotonic(), clock.now_us()))

    tasks = [asyncio.create_task(sleeper("a", 1.0, 1.0)), asyncio.create_task(sleeper("b", 1.5, 10.0))]
    await clock.advance(2.5)
    assert woken == [("a", 1.0, 1_000_000), ("b", 1.5, 1_500_000), ("a", 2.0, 2_000_000)]
    assert (clock.monotonic(), clock.sleepers) == (2.5, 1)
    tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert clock.sleepers == 0
    clock.jump(-3600)
    assert (clock.monotonic(), clock.now_us()) == (2.5, 2_500_000 - 3_600_000_000)


async def test_the_system_clock_goes_on() -> None:
    clock = SystemClock()
    before = clock.monotonic(), clock.now_us()
    await clock.sleep(0.01)
    assert clock.monotonic() - before[0] >= 0.009
    assert clock.now_us() > before[1] > 1_600_000_000_000_000


def test_counters_are_counted_set_and_asked() -> None:
    counters = Counters()
    counters.add("b.count")
    counters.add("b.count", 2)
    counters.set("a.gauge", 1.5)
    held = [7]
    counters.watch("c.held", lambda: len(held))
    held.append(8)
    assert counters.snapshot() == {"a.gauge": 1.5, "b.count": 3, "c.held": 2}
    assert (counters.get("c.held"), counters.get("never")) == (2, 0)


def test_an_event_is_one_line_whatever_its_fields_hold(lines: io.StringIO) -> None:
    log = logging.Log("link")
    log.info("A peer came", name="a b", hostile="x\n2026 error link forged", quote='"', n=3, sep="\u2028", key=b"\x01")
    text = lines.getvalue()
    assert text.count("\n") == 1
    assert len(text.splitlines()) == 1
    assert ' info link A peer came name="a b" hostile="x\\n2026 error link forged" quote="\\"" n=3 ' in text
    assert text.endswith("key=01\n")


def test_a_json_line_keeps_its_own_fields() -> None:
    stream = io.StringIO()
    logging.configure(is_json=True, stream=stream)
    try:
        logging.Log("link").crash("It broke", ValueError("bad\nline"), level="forged", n=3)
    finally:
        logging.configure()
    (line,) = stream.getvalue().splitlines()
    event = json.loads(line)
    assert (event["level"], event["part"], event["message"], event["n"]) == ("error", "link", "It broke", 3)
    assert event["error"] == "ValueError: bad\nline"
    assert "ValueError" in event["trace"]


def test_levels_below_the_configured_one_are_left_out(lines: io.StringIO) -> None:
    log = logging.Log("link")
    log.debug("No")
    log.warning("Yes")
    assert lines.getvalue().split()[1:] == ["warning", "link", "Yes"]


@given(st.floats(0, 1000), st.floats(0, 1, exclude_max=True), st.floats(0.01, 5), st.floats(5, 100))
def test_a_delay_lies_between_base_and_three_times_the_last_and_below_the_cap(
    previous: float, fraction: float, base: float, cap: float
) -> None:
    delay = Backoff(base_seconds=base, cap_seconds=cap).next_delay(previous, fraction)
    assert base <= delay <= cap
    assert delay <= max(base, previous * 3) * (1 + 1e-12)


async def test_a_failing_part_is_started_again_later_each_time_and_counted(lines: io.StringIO) -> None:
    clock, counters = ManualClock(), Counters()
    supervisor = Supervisor(clock=clock, counters=counters, backoff=Backoff(base_seconds=1.0), fraction=lambda: 0.99999)
    starts: list[float] = []

    async def work() -> None:
        starts.append(clock.monotonic())
        if len(starts) < 4:
            raise RuntimeError("broken")

    task = asyncio.create_task(supervisor.keep_running("probe", work))
    await until(lambda: clock.sleepers == 1)
    await clock.advance(100)
    await asyncio.wait_for(task, 60)
    waits = [round(later - sooner, 2) for sooner, later in pairwise(starts)]
    assert waits == [1.0, 3.0, 9.0]
    assert counters.snapshot() == {"supervised.probe.restarts": 3}
    assert lines.getvalue().count("RuntimeError: broken") >= 3


async def test_a_permanent_fault_and_cancellation_pass_through() -> None:
    clock, counters = ManualClock(), Counters()
    supervisor = Supervisor(clock=clock, counters=counters)

    async def hopeless() -> None:
        raise PermanentFault("the key file is unreadable")

    with pytest.raises(PermanentFault):
        await supervisor.keep_running("link", hopeless)

    async def endless() -> None:
        await clock.sleep(1000)

    task = asyncio.create_task(supervisor.keep_running("link", endless))
    await until(lambda: clock.sleepers == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert counters.snapshot() == {}


def test_a_shared_clock_sets_a_wrong_one_right_and_leaves_small_differences_alone() -> None:
    own = ManualClock()
    clock = SharedClock(own)
    true_us = own.now_us()
    own.jump(-86_400)
    clock.heard(true_us, own.monotonic(), own.monotonic())
    assert clock.now_us() == true_us
    assert clock.skew_seconds == -86_400
    clock.heard(true_us + 400_000, own.monotonic(), own.monotonic())
    assert clock.now_us() == true_us, "instants do not jump for nothing"
    own.jump(86_400)
    clock.heard(true_us + 400_000, own.monotonic(), own.monotonic())
    assert clock.now_us() == true_us
    assert clock.skew_seconds == 0


def test_a_shared_clock_does_not_believe_an_answer_that_took_long() -> None:
    own = ManualClock()
    clock = SharedClock(own)
    clock.heard(own.now_us() + 60_000_000, 10.0, 11.5)
    assert clock.skew_seconds == 0
