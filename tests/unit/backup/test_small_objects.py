"""Marks, holds and manifests as a broken-in host may write them: odd ones speak for more, and stop nobody."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from backup.errors import SignatureBad
from backup.manifest import read_manifest
from backup.model import Place
from backup.notes.holds import HoldRegister, read_holds
from backup.notes.marks import clear_marks, read_marks
from backup.settings.target import TargetSettings
from backup.targets.deleting import open_for_deleting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backup.targets.contract import DeletingTarget

NOW = datetime(2026, 11, 30, tzinfo=UTC)
PLACE = Place(host="web1", set="files")
CHAIN = "20261101T000000Z"
DEEP = b"[" * 60_000
FIRST, LAST = "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-14:00"


@pytest.fixture
def target(tmp_path: Path) -> Iterator[DeletingTarget]:
    with open_for_deleting(TargetSettings(name="store", kind="folder", folder=tmp_path / "store")) as opened:
        opened.reach()
        yield opened


def mark(until: str) -> bytes:
    return json.dumps({"form": "watchkeep-mark-1", "chains": [CHAIN], "said": "x", "until": until}).encode()


def hold(set_at: str, until: str) -> bytes:
    table = {"form": "watchkeep-hold-1", "chain": CHAIN, "reason": "r", "by": "b", "set_at": set_at, "until": until}
    return json.dumps(table).encode()


@pytest.mark.parametrize(
    ("content", "is_held"),
    [(DEEP, True), (mark(FIRST), True), (mark(LAST), True), (mark("9999-12-31T23:59:59Z"), True)],
)
def test_a_mark_at_the_end_of_time_or_without_end_holds(
    target: DeletingTarget, content: bytes, *, is_held: bool
) -> None:
    target.write("web1/files/odd.json", content)
    (found,) = read_marks(target, PLACE)
    assert found.holds(CHAIN, NOW) is is_held
    clear_marks(target, PLACE, NOW)


@pytest.mark.parametrize("content", [DEEP, hold(FIRST, LAST), hold("2026-11-01T00:00:00Z", LAST)])
def test_a_hold_at_the_ends_of_time_or_without_end_holds(
    target: DeletingTarget, tmp_path: Path, content: bytes
) -> None:
    target.write("web1/files/holds/odd.json", content)
    for _ in range(2):
        holds = read_holds([target], PLACE, HoldRegister(tmp_path / "work"))
        assert any(each.holds(CHAIN, NOW) for each in holds)


def test_a_signed_manifest_without_end_does_not_count() -> None:
    with pytest.raises(SignatureBad, match="it is no manifest"):
        read_manifest(DEEP.decode())
