"""Notes of damage at a target."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from backup.model import Place
from backup.notes.damage import clear_damage, doubt_of_damage, leave_note, read_damage, write_damage
from backup.restoring.manifest_damage import Damage
from backup.settings.target import TargetSettings
from backup.targets.folder import DeletingFolder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backup.station.station import Station

PLACE = Place(host="web1", set="files")
GONE, THERE = "20261101T000000Z", "20261102T000000Z"


@pytest.fixture
def target(tmp_path: Path) -> DeletingFolder:
    """A target at which one of two damaged chains still lies."""
    made = DeletingFolder(TargetSettings(name="store", kind="folder", folder=tmp_path))
    made.write(f"{PLACE.chain(THERE)}/duplicity-full.x", b"x")
    for chain in (GONE, THERE):
        write_damage(made, PLACE, chain, [f"volume {number}: flipped\x1b[2J" for number in range(9)], by="safe")
    return made


@pytest.fixture
def _in_another_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "XST-05:30")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_in_another_zone")
def test_a_note_says_who_found_what_when_and_nothing_that_a_terminal_obeys(target: DeletingFolder) -> None:
    said = doubt_of_damage(target, PLACE, THERE)
    assert said is not None
    assert "safe" in said
    assert "volume 0" in said
    assert re.search(r"on \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+05:30: ", said)  # where the reader is, and his zone is told
    assert "\x1b" not in said
    assert doubt_of_damage(target, PLACE, "20261103T000000Z") is None


def test_a_note_of_lists_says_that_restores_do_without_and_does_not_stand_for_worse(target: DeletingFolder) -> None:
    write_damage(target, PLACE, THERE, ["sigtar: flipped"], by="safe", is_of_lists=True)
    assert "without which its points can be restored" in str(doubt_of_damage(target, PLACE, THERE))
    settings = SimpleNamespace(host="safe")
    station = cast("Station", SimpleNamespace(target=target, place=PLACE, settings=settings))
    leave_note(station, THERE, ["sigtar again"], is_of_lists=True)
    assert "sigtar: flipped" in str(doubt_of_damage(target, PLACE, THERE))
    for worse in ("vol1: flipped", "a later word of it"):
        leave_note(station, THERE, [worse])
        assert str(doubt_of_damage(target, PLACE, THERE)).endswith(": vol1: flipped")


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"[" * 100_000, b"\xff"])
def test_a_note_that_cannot_be_understood_still_counts(target: DeletingFolder, content: bytes) -> None:
    target.write(f"web1/files/damage/{THERE}.json", content)
    assert "cannot be understood" in str(doubt_of_damage(target, PLACE, THERE))


def test_notes_go_with_their_chains_and_what_is_no_note_stays(target: DeletingFolder) -> None:
    target.write("web1/files/damage/mine.txt", b"x")
    clear_damage(target, PLACE)
    assert sorted(target.files("web1/files/damage")) == [f"{THERE}.json", "mine.txt"]


def test_a_point_of_the_second_in_which_the_next_chain_was_begun_is_of_its_own_chain() -> None:
    begun = datetime(2026, 11, 30, 12, tzinfo=UTC)
    before, later = begun - timedelta(seconds=1), begun + timedelta(seconds=1)
    old = Damage(name="volume", what="flipped", kills=(before, begun))
    assert not old.is_of_newest(begun, {before, begun})
    assert Damage(name="list", what="flipped", unlists=(later,)).is_of_newest(begun, {before, begun})
    assert Damage(name="manifest", what="is not there", kills=(begun,)).is_of_newest(begun, {before})


def test_a_note_that_is_too_long_is_told_up_to_a_whole_word(target: DeletingFolder) -> None:
    words = "damaged volume " * 40
    write_damage(target, PLACE, THERE, [words], by="safe")
    note = read_damage(target, PLACE, THERE)
    assert note is not None
    assert note.what.endswith((" damaged …", " volume …"))
    assert words.startswith(note.what.removesuffix("…"))
    assert len(note.what) > 180
    write_damage(target, PLACE, THERE, ["x" * 900], by="safe")
    assert str(doubt_of_damage(target, PLACE, THERE)).endswith("xxx …")
