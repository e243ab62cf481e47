"""When a source's silence is its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from core.model.ranges import RangeSet
from core.runtime.clock import ManualClock
from core.security.authority import Peer
from core.wire.messages import Hello, Presence, PresenceRow, SourceHeartbeat
from server.intake.ledger import Ledger
from server.intake.presence import PresenceBook
from server.store.received import ReceivedDelta
from tests.unit.server.intake.arrivals import FOREIGN, OTHER_PROXY_KEY, PROXY_KEY, directory

if TYPE_CHECKING:
    from core.wire.messages import SourceMessage
    from server.intake.directory import Directory

GRACE = 30.0
ITEM = 77
PROXY = Peer(key=PROXY_KEY, role="proxy", name="p")


def hello() -> Hello:
    return Hello(
        protocol=1, role="proxy", name="p", source=None, session=1, boots=(), configuration=0, epoch=0, software="x"
    )


def heartbeat(clock: ManualClock, oldest_at: int = 0) -> SourceHeartbeat:
    return SourceHeartbeat(
        session=1, frame=0, boot=0, number=0, clock=clock.now_us(), held_records=0, held_bytes=0,
        oldest_at=oldest_at, epoch=1,
    )  # fmt: skip


def sighting(number: int) -> Presence:
    row = PresenceRow(FOREIGN.bytes, b"k" * 32, 4, 0, 0, 5, number, 0, 0, 0, "x")
    return Presence(is_first=True, links=(row,))


class Scene:
    """The source FOREIGN (id 2) of group 1, whose only proxy is PROXY."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.book = PresenceBook(self.clock, GRACE)
        self.book.learn_sources(np.array([ITEM], np.int32), 2)
        self.ledger = Ledger()

    async def pass_time(self, seconds: float, *messages: SourceMessage, oldest_at: int = 0) -> None:
        """Let time pass while the proxy is heard every two seconds."""
        for _ in range(int(seconds / 2)):
            await self.clock.advance(2)
            self.book.heard(PROXY, heartbeat(self.clock, oldest_at))
        for message in messages:
            self.book.heard(PROXY, message)

    @property
    def is_judgeable(self) -> bool:
        return self.is_judgeable_by(directory())

    def is_judgeable_by(self, known: Directory) -> bool:
        judge = self.book.judge(known, self.ledger)
        return bool(judge(np.array([ITEM], np.int32))[0])


@pytest.fixture
async def scene() -> Scene:
    made = Scene()
    made.book.heard(PROXY, hello())
    return made


async def test_silence_means_nothing_until_a_way_was_up_for_longer_than_the_grace(scene: Scene) -> None:
    await scene.pass_time(28)
    assert not scene.is_judgeable
    await scene.pass_time(4)
    assert scene.is_judgeable


async def test_a_dead_proxy_is_not_mistaken_for_dead_hosts(scene: Scene) -> None:
    await scene.pass_time(40)
    await scene.clock.advance(8)
    assert not scene.is_judgeable


async def test_a_proxy_of_another_group_says_nothing_about_the_source() -> None:
    scene = Scene()
    other = Peer(key=OTHER_PROXY_KEY, role="proxy", name="q")
    scene.book.heard(other, hello())
    for _ in range(30):
        await scene.clock.advance(2)
        scene.book.heard(other, heartbeat(scene.clock))
    assert not scene.is_judgeable


async def test_a_proxy_that_still_holds_old_records_may_hold_the_silent_ones(scene: Scene) -> None:
    await scene.pass_time(40, oldest_at=scene.clock.now_us())
    assert not scene.is_judgeable
    await scene.pass_time(4)
    assert scene.is_judgeable


async def test_a_proxy_whose_own_clock_is_slow_is_not_behind_for_that(scene: Scene) -> None:
    for _ in range(20):
        await scene.clock.advance(2)
        slow = scene.clock.now_us() - 3_600_000_000
        scene.book.heard(PROXY, replace(heartbeat(scene.clock, oldest_at=slow - 1_000_000), clock=slow))
    assert scene.is_judgeable


async def test_numbers_the_source_announced_must_have_ended_first(scene: Scene) -> None:
    await scene.pass_time(40, sighting(number=3))
    assert not scene.is_judgeable
    scene.ledger.commit([ReceivedDelta(source_id=2, boot=5, ranges=RangeSet([(1, 3)]))])
    assert scene.is_judgeable


async def test_an_item_nobody_is_known_to_sample_is_never_judged(scene: Scene) -> None:
    await scene.pass_time(40)
    judge = scene.book.judge(directory(), scene.ledger)
    assert judge(np.array([5, 100_000, ITEM], np.int32)).tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("stored", "is_old", "expected"), [((7, 9), True, False), ((7, 9), False, True), ((1, 9), True, True)]
)
async def test_the_newest_number_says_nothing_while_a_carrier_of_the_source_sends_a_backlog(
    scene: Scene, stored: tuple[int, int], is_old: bool, expected: bool
) -> None:
    """Live records overtake a backlog; what is sampled seldom lies in it, and another proxy has nothing old."""
    known = replace(directory(), groups={PROXY_KEY: 1, OTHER_PROXY_KEY: 1})
    other = Peer(key=OTHER_PROXY_KEY, role="proxy", name="q")
    scene.book.heard(other, hello())
    old = scene.clock.now_us() - 3_600_000_000
    for _ in range(20):
        await scene.pass_time(2, oldest_at=old if is_old else 0)
        scene.book.heard(other, heartbeat(scene.clock))
    scene.book.heard(PROXY, sighting(number=9))
    scene.ledger.commit([ReceivedDelta(source_id=2, boot=5, ranges=RangeSet([stored]))])
    assert scene.is_judgeable_by(known) is expected


@pytest.mark.parametrize(("is_linked", "expected"), [(True, False), (False, True)])
async def test_an_agent_without_a_proxy_that_sends_a_backlog_is_not_judged_while_it_is_there(
    is_linked: bool, expected: bool
) -> None:
    scene, known = Scene(), replace(directory(), tenures={})
    agent = Peer(key=b"f" * 32, role="agent", name="foreign", source=FOREIGN.bytes)
    scene.book.heard(agent, replace(hello(), role="agent", source=FOREIGN.bytes))
    await scene.clock.advance(40)
    old = scene.clock.now_us() - 3_600_000_000
    scene.book.heard(agent, replace(heartbeat(scene.clock, old), boot=5, number=9))
    scene.ledger.commit([ReceivedDelta(source_id=2, boot=5, ranges=RangeSet([(7, 9)]))])
    if not is_linked:
        await scene.clock.advance(10)
    assert scene.is_judgeable_by(known) is expected


async def test_after_a_pause_nobody_is_judged_until_all_had_time_to_come_back() -> None:
    scene, known = Scene(), replace(directory(), tenures={})
    await scene.clock.advance(3600)
    assert scene.is_judgeable_by(known)
    scene.book.begin_anew()
    await scene.clock.advance(GRACE)
    assert not scene.is_judgeable_by(known)
    await scene.clock.advance(1)
    assert scene.is_judgeable_by(known)


async def test_sources_a_proxy_named_once_are_forgotten(scene: Scene) -> None:
    """A proxy gone mad may name ever other ones."""
    for number in range(1, 101):
        row = PresenceRow(number.to_bytes(16, "big"), b"k" * 32, 4, 0, 0, 5, 1, 0, 0, 0, "x")
        scene.book.heard(PROXY, Presence(is_first=True, links=(row,)))
        await scene.pass_time(10)
    assert len(scene.book._sightings) < 10
