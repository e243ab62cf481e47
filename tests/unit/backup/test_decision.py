from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from backup.engine.decision import Policy, Situation, decide
from backup.model import Counts, Kind, Manifest, RestorePoint

_NOW = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)
_POLICY = Policy(full_after_links=30, full_after=timedelta(days=30))


def _point(position: int = 3, broken: str | None = None) -> RestorePoint:
    manifest = Manifest(
        host="web1", set="files", due_at=_NOW, at=_NOW - timedelta(hours=1), finished_at=_NOW, kind=Kind.INCREMENTAL,
        reason="", chain="20261101T000000Z", position=position, previous=None, source="paths", volumes=(),
        recipients=(), signer="", counts=Counts(entries=1, bytes=1, changed_bytes=1),
    )  # fmt: skip
    return RestorePoint(manifest=manifest, broken=broken)


_GOOD = Situation(newest=_point(), full_at=_NOW - timedelta(days=2), doubt=None, is_full_asked=False)


def test_a_whole_chain_is_gone_on_from() -> None:
    decision = decide(_GOOD, _POLICY, _NOW)
    assert (decision.kind, decision.base) == (Kind.INCREMENTAL, _GOOD.newest)


@pytest.mark.parametrize(
    ("situation", "words"),
    [
        (replace(_GOOD, newest=None), "the first"),
        (replace(_GOOD, is_full_asked=True), "asked for"),
        (replace(_GOOD, doubt="the local cache is lost: x"), "the local cache is lost: x"),
        (replace(_GOOD, newest=_point(broken="y is missing")), "damaged: y is missing"),
        (replace(_GOOD, newest=_point(position=30)), "30 incrementals"),
        (replace(_GOOD, full_at=_NOW - timedelta(days=30)), "30 days old"),
    ],
)
def test_any_doubt_makes_a_full_and_says_which(situation: Situation, words: str) -> None:
    decision = decide(situation, _POLICY, _NOW)
    assert (decision.kind, decision.base) == (Kind.FULL, None)
    assert words in decision.reason


def test_a_clock_that_went_back_makes_a_full() -> None:
    decision = decide(_GOOD, _POLICY, _NOW - timedelta(hours=2))
    assert (decision.kind, "clock" in decision.reason) == (Kind.FULL, True)
