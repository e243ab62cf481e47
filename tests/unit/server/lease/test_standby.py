"""When a standby takes the lease, and when it does not: silence it has watched itself, not what a clock alone says."""

from __future__ import annotations

from datetime import UTC, datetime

from server.lease.standby import LeaseWatch, Silence
from server.store.lease import LeaseView

SILENCE = Silence.of(3.0)
BEAT = 1000.0


def view(
    age: float, *, beat: float = BEAT, epoch: int = 4, holder: str = "other", released: bool = False, there: bool = True
) -> LeaseView:
    return LeaseView(
        epoch=epoch, holder=holder, endpoint="tcp://other:7710", taken_at=datetime(2026, 11, 30, tzinfo=UTC),
        is_released=released, heartbeat_age_seconds=age, heartbeat_at=beat, is_holder_connected=there,
    )  # fmt: skip


def watched(*looks: tuple[float, LeaseView]) -> list[str]:
    watch = LeaseWatch(SILENCE, "me")
    return [watch.judge(seen, at, at) for at, seen in looks]


def test_a_released_lease_is_free_at_the_first_look() -> None:
    assert watched((0.0, view(0.1, released=True))) == ["free"]


def test_a_beating_heart_keeps_the_lease_and_missed_beats_make_it_doubtful() -> None:
    assert watched((0.0, view(0.2)), (0.25, view(0.4)), (1.5, view(1.6))) == ["held", "held", "doubtful"]


def test_a_frozen_holder_is_replaced_after_the_whole_silence_one_without_connections_sooner() -> None:
    frozen = [(at, view(at + 0.1)) for at in (0.0, 2.2, 2.8, 3.0)]
    assert watched(*frozen) == ["held", "doubtful", "doubtful", "free"]
    gone = [(at, view(at + 0.1, there=False)) for at in (0.0, 1.8, 2.0)]
    assert watched(*gone) == ["held", "doubtful", "free"]


def test_who_has_just_come_watches_the_silence_before_it_believes_it() -> None:
    assert watched((0.0, view(600)), (1.4, view(601.4)), (1.5, view(601.5))) == ["doubtful", "doubtful", "free"]


def test_ones_own_last_life_is_not_waited_for() -> None:
    assert watched((0.0, view(600, holder="me"))) == ["free"]
    assert watched((0.0, view(1.9, holder="me", there=False))) == ["doubtful"]


def test_a_database_that_was_away_gives_its_holder_time_to_beat_again() -> None:
    watch = LeaseWatch(SILENCE, "me")
    assert watch.judge(view(0.2), 0.0, 0.0) == "held"
    watch.interrupt()
    assert watch.judge(view(9.0, there=False), 8.8, 8.8) == "doubtful"
    assert watch.judge(view(0.1, beat=BEAT + 9.5), 9.5, 9.5) == "held"


def test_a_look_that_took_long_gives_the_holder_time_once_and_not_for_ever() -> None:
    watch = LeaseWatch(SILENCE, "me")
    assert watch.judge(view(0.2), 0.0, 0.0) == "held"
    assert watch.judge(view(12.0), 0.3, 12.0) == "doubtful"
    assert watch.judge(view(14.5), 12.3, 14.3) == "free", "every look is slow, and the heart has not beaten"


def test_a_new_holder_is_watched_anew() -> None:
    looks = [(0.0, view(0.1)), (3.0, view(3.1)), (3.1, view(3.2, epoch=5)), (4.7, view(4.8, epoch=5))]
    assert watched(*looks) == ["held", "free", "doubtful", "free"]
