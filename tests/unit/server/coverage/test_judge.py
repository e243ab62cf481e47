"""Which hosts are backed up, waived, new or unprotected, and the words for why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from server.coverage.judge import judge_host
from server.coverage.model import HostFacts, SetFacts, Waived

if TYPE_CHECKING:
    from server.coverage.model import Verdict

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def saved(age: timedelta | None, period: timedelta | None = DAY, name: str = "files") -> SetFacts:
    return SetFacts(host="web1", name=name, good_at=None if age is None else NOW - age, period=period)


def waived(left: timedelta, name: str = "w") -> Waived:
    return Waived(name=name, ends_at=NOW + left, reason="it holds nothing")


def judge(
    *sets: SetFacts, waivers: tuple[Waived, ...] = (), known: timedelta = 30 * DAY, within: timedelta | None = None
) -> Verdict:
    return judge_host(HostFacts(name="web1", known_since=NOW - known, within=within, sets=sets), waivers, NOW)


@pytest.mark.parametrize(
    ("sets", "within", "state"),
    [
        ([saved(timedelta(hours=5))], None, "covered"),
        ([saved(timedelta(hours=47))], None, "covered"),  # a daily one has a day on top
        ([saved(timedelta(hours=49))], None, "unprotected"),
        ([saved(7 * DAY, period=7 * DAY)], None, "covered"),
        ([saved(7 * DAY, period=None)], None, "covered"),
        ([saved(9 * DAY, period=None)], None, "unprotected"),
        ([saved(timedelta(hours=5))], timedelta(hours=4), "unprotected"),  # the host itself asks for more
        ([saved(9 * DAY), saved(timedelta(hours=1), name="mail")], None, "covered"),  # one good set is enough
        ([saved(None)], None, "unprotected"),
        ([], None, "unprotected"),
    ],
)
def test_a_host_is_covered_while_a_set_of_it_is_as_new_as_it_has_to_be(
    sets: list[SetFacts], within: timedelta | None, state: str
) -> None:
    verdict = judge(*sets, within=within)
    assert verdict.state == state
    assert (verdict.unprotected_seconds > 0) == (state == "unprotected")


def test_the_seconds_count_from_when_the_backup_grew_too_old() -> None:
    assert judge(saved(timedelta(hours=49))).unprotected_seconds == pytest.approx(3600)
    assert judge(known=3 * DAY).unprotected_seconds == pytest.approx(2 * 86_400)


def test_a_new_host_has_a_day_or_what_it_says_itself() -> None:
    assert judge(known=timedelta(hours=23)).state == "new"
    assert judge(known=timedelta(hours=5), within=timedelta(hours=4)).state == "unprotected"
    assert (
        judge(saved(3 * DAY), known=timedelta(hours=1)).state == "unprotected"
    )  # it had a backup, and that is too old


def test_a_waiver_counts_until_its_end_and_is_named_afterwards() -> None:
    waiting = judge(waivers=(waived(timedelta(hours=1)), waived(9 * DAY, "longer")))
    assert (waiting.state, waiting.unprotected_seconds) == ("waived", 0.0)
    assert waiting.reason == "waived until 2026-12-08 by longer: it holds nothing"
    over = judge(waivers=(waived(-timedelta(seconds=1)),))
    assert over.state == "unprotected"
    assert over.reason == "no backup set saves it; the waiver w ended with 2026-11-29"


def test_a_backup_counts_before_a_waiver() -> None:
    assert judge(saved(DAY), waivers=(waived(DAY),)).state == "covered"


def test_the_reason_names_the_set_and_what_it_may_be() -> None:
    verdict = judge(saved(3 * DAY), saved(None, name="mail"))
    assert verdict.by == "web1/files"
    assert verdict.reason == "the last good backup, web1/files of 2026-11-27 12:00 UTC, may be 2 days old"
    assert judge(saved(None, name="mail")).reason == "no good backup of web1/mail is known"
