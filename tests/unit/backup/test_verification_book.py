"""What a station keeps of its verifications: damage until it is seen gone, also when everything else goes wrong."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from backup.errors import BackupDamaged, WorkFailed
from backup.model import Place, instant_name
from backup.restoring.manifest_damage import Damage
from backup.restoring.verification_book import VerificationBook, VerificationRecord
from backup.restoring.verify import Depth, Report
from backup.runtime.state_file import StateFile

if TYPE_CHECKING:
    from pathlib import Path

AT = datetime(2026, 11, 1, tzinfo=UTC)
POINTS = tuple(AT + timedelta(days=day) for day in range(4))
READABLE_BYTES = 1 << 20  # of a state file, by `bkp` and by its probe


def lost(name: str, *points: datetime, what: str = "it is missing") -> Damage:
    return Damage(name=name, what=what, kills=points)


def looked(depth: Depth, *damages: Damage, points: tuple[datetime, ...] = POINTS) -> Report:
    gone = {at for damage in damages for at in damage.kills}
    return Report(
        depth=depth, damages=damages, restorable=tuple(at for at in points if at not in gone),
        lost=tuple(sorted(gone)), files=4, bytes=0,
    )  # fmt: skip


EMPTY = looked(Depth.STORED, points=())


class Kept:
    """A book, and what it says of its copy."""

    def __init__(self, folder: Path) -> None:
        self.book = VerificationBook(folder, Place(host="web1", set="files"), is_kept=True)

    def note(self, report: Report, share: float | None = None) -> dict[str, Any] | None:
        """Note a look and return the damage that is known after it."""
        self.book.note("store", report, None if share is None else self.book.sampling("store", share))
        damage: dict[str, Any] | None = self.book.read()["copies"]["store"]["damage"]
        return damage


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def test_a_shallow_look_that_finds_other_damage_does_not_forget_what_only_reading_shows(kept: Kept) -> None:
    kept.note(looked(Depth.READ, lost("A", POINTS[3], what="it is flipped")))
    both = kept.note(looked(Depth.STORED, lost("B", POINTS[2], POINTS[3])))
    assert both is not None
    assert (both["depth"], both["what"], both["lost"]) == ("read", "A: it is flipped", 2)
    assert both["names"] == ["A", "B"]
    after = kept.note(looked(Depth.STORED))  # B was brought back
    assert after is not None
    assert kept.book.sampling("store", 0.1).always >= {"A"}
    assert kept.note(looked(Depth.READ)) is None


def test_a_look_as_deep_says_anew_what_is_damaged(kept: Kept) -> None:
    kept.note(looked(Depth.READ, lost("A", POINTS[0])))
    found = kept.note(looked(Depth.READ, lost("B", POINTS[1], POINTS[2])))
    assert found is not None
    assert (found["names"], found["lost"]) == (["B"], 2)
    assert kept.note(looked(Depth.READ), share=0.1) is None  # a sample reads what is named as damaged


def test_a_copy_that_had_restore_points_and_has_none_is_damaged_until_they_are_back(kept: Kept) -> None:
    kept.note(looked(Depth.STORED))
    for _ in range(2):
        damage = kept.note(EMPTY)
        assert damage is not None
        assert (damage["what"], damage["lost"]) == ("there is no restore point any more", len(POINTS))
    assert kept.note(looked(Depth.STORED)) is None


def test_damaged_logs_are_counted_until_a_look_finds_them_whole_though_they_cost_no_restore_point(kept: Kept) -> None:
    log = Damage(name="wal/1", what="it is missing", moments=(POINTS[1], None))
    found = kept.note(looked(Depth.STORED, log))
    assert found is not None
    assert (found["logs"], found["lost"], found["what"]) == (1, 0, "wal/1: it is missing")
    other = kept.note(looked(Depth.STORED, lost("A", POINTS[3])))
    assert other is not None
    assert (other["logs"], other["lost"]) == (0, 1)
    kept.note(looked(Depth.READ, log))
    both = kept.note(looked(Depth.STORED, lost("A", POINTS[3])))
    assert both is not None
    assert (both["logs"], both["lost"]) == (1, 1)
    assert kept.note(looked(Depth.READ)) is None


def test_the_newest_points_that_a_look_saw_are_remembered_for_the_next(kept: Kept) -> None:
    names = {instant_name(AT + timedelta(days=day)): instant_name(AT) for day in range(500)}
    kept.note(replace(looked(Depth.STORED), seen=names))
    seen = kept.book.seen("store")
    assert list(seen.items()) == list(names.items())[-len(seen) :]
    assert len(seen) >= 100
    assert kept.book.seen("elsewhere") == {}


def test_the_first_and_last_logs_of_the_newest_lines_that_a_look_saw_are_remembered_for_the_next(kept: Kept) -> None:
    lines = {f"binlog/{number:03d}": {"bin.000001": (AT + timedelta(days=number)).isoformat()} for number in range(99)}
    kept.note(replace(looked(Depth.STORED), seen_logs=lines))
    seen = kept.book.seen_logs("store")
    assert list(seen.items()) == list(lines.items())[-len(seen) :]
    assert len(seen) >= 50
    assert kept.book.seen_logs("elsewhere") == {}


def test_a_copy_that_never_had_a_restore_point_is_neither_damaged_nor_whole(kept: Kept) -> None:
    assert kept.note(EMPTY) is None
    assert "whole" not in kept.book.read()["copies"]["store"]


def test_while_everything_is_gone_nothing_shows_that_earlier_damage_is(kept: Kept) -> None:
    kept.note(looked(Depth.READ, lost("A", POINTS[3])))
    kept.note(looked(Depth.READ, points=()), share=0.1)
    after = kept.note(looked(Depth.STORED))
    assert after is not None
    assert after["names"] == ["A"]


@pytest.mark.parametrize("letter", ["x", "é", "\x01"])
def test_however_much_is_damaged_what_is_kept_can_be_read_again(kept: Kept, tmp_path: Path, letter: str) -> None:
    names = [f"{number}{letter * 2000}" for number in range(1500)]
    report = looked(Depth.READ, *(lost(name, what=letter * 90_000) for name in names))
    for target in ("near", "far", "store"):
        kept.book.note(target, report, None)
    record = VerificationRecord(due_at=AT, step="read")
    with kept.book.keeping(record) as errors:
        errors.append(BackupDamaged(letter * READABLE_BYTES))
    assert (tmp_path / "verifications/web1/files.json").stat().st_size < READABLE_BYTES
    state = kept.book.read()
    assert "bytes more" in state["last_verification"]["error"]
    for copy in state["copies"].values():
        damage = copy["damage"]
        assert damage["names"]
        assert len(damage["names"]) + damage["more"] == len(names)
        assert "bytes more" in damage["what"]
    assert kept.note(looked(Depth.READ), share=0.1) is not None  # not all of it is named, so no sample reads it all
    assert kept.note(looked(Depth.READ)) is None


def test_what_could_not_be_read_again_is_not_written_over_what_can_be(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state.json", "a form", {})
    file.write({"known": 1})
    with pytest.raises(WorkFailed, match="bytes"):
        file.write({"known": "x" * READABLE_BYTES})
    assert file.read()["known"] == 1
    assert json.loads((tmp_path / "state.json").read_text())["known"] == 1


def test_of_copies_that_are_looked_at_at_once_every_look_is_kept(tmp_path: Path) -> None:
    def look(target: str) -> None:
        book = Kept(tmp_path).book
        for _ in range(10):
            book.note(target, looked(Depth.READ, lost(target, POINTS[0])), book.sampling(target, 0.1))

    targets = ["near", "far", "store", "vault"]
    with ThreadPoolExecutor(len(targets)) as pool:
        list(pool.map(look, targets))
    copies = Kept(tmp_path).book.read()["copies"]
    assert {target: copy["damage"]["names"] for target, copy in copies.items()} == {each: [each] for each in targets}


def test_a_look_that_was_hindered_finds_nothing_whole_and_no_damage_gone(kept: Kept) -> None:
    hindered = replace(looked(Depth.DECRYPTED), hindrances=(WorkFailed("no room"),))
    assert kept.note(hindered) is None
    assert "whole" not in kept.book.read()["copies"]["store"]
    known = kept.note(looked(Depth.READ, lost("A", POINTS[3])))
    assert kept.note(hindered) == known
    assert kept.note(replace(hindered, restorable=())) == known
