"""What every target promises, as tests: subclass it beside a fixture `settings`, of which each test gets its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, ClassVar

import pytest

from backup.errors import ObjectMissing
from backup.targets.deleting import open_for_deleting
from backup.targets.reading import at_hand
from backup.targets.registry import open_target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backup.settings.target import TargetSettings
    from backup.targets.contract import DeletingTarget, Target

_LARGE = bytes(range(256)) * (5 << 12)  # 5 MiB: more than a piece


class TargetContract:
    many: ClassVar = 30

    @pytest.fixture
    def target(self, settings: TargetSettings) -> Iterator[Target]:
        with open_target(settings) as opened:
            opened.reach()
            yield opened

    @pytest.fixture
    def deleting(self, settings: TargetSettings) -> Iterator[DeletingTarget]:
        with open_for_deleting(settings) as opened:
            yield opened

    def test_what_was_written_is_read_back(self, target: Target) -> None:
        for name, content in (("a/b/small", b"x"), ("a/b/empty", b""), ("a/b/large", _LARGE)):
            target.write(name, content)
            pieces = list(target.read(name))
            assert b"".join(pieces) == content
            assert all(0 < len(piece) <= 1 << 20 for piece in pieces)
            assert target.stat(name).size_bytes == len(content)

    def test_a_file_from_the_disk_is_read_back_and_may_replace_another(self, target: Target, tmp_path: Path) -> None:
        for content in (_LARGE, b"", b"small"):
            (tmp_path / "sent").write_bytes(content)
            target.put("p/ut", tmp_path / "sent")
            assert b"".join(target.read("p/ut")) == content
        assert dict(target.files("p")) == {"ut": 5}

    def test_it_tells_its_room_or_that_it_does_not_tell(self, target: Target) -> None:
        room = target.room()
        assert room is None or room > 1 << 20

    def test_a_file_is_replaced(self, target: Target) -> None:
        target.write("r/file", b"long content")
        target.write("r/file", b"new")
        assert b"".join(target.read("r/file")) == b"new"

    def test_a_folder_lists_its_own_files_with_their_sizes_and_its_own_folders(self, target: Target) -> None:
        for name in ("l/one", "l/two", "l/deep/three", "l/deep/er/four", "l2/five"):
            target.write(name, name.encode())
        assert dict(target.files("l")) == {"one": 5, "two": 5}
        assert target.folders("l") == ["deep"]
        assert dict(target.files("l/deep")) == {"three": 12}

    def test_the_folders_at_the_top_are_listed(self, target: Target) -> None:
        target.write("top/deep/one", b"1")
        assert target.folders("") == ["top"]

    def test_what_is_at_hand_is_read_as_ever(self, target: Target) -> None:
        for name in ("h/one", "h/two", "h/three"):
            target.write(name, name.encode())
        with at_hand(target, "h", {**target.files("h"), "gone": 4}):
            assert b"".join(target.read("h/two")) == b"h/two"
            with pytest.raises(ObjectMissing):
                list(target.read("h/gone"))

    def test_a_folder_that_is_not_there_is_empty(self, target: Target) -> None:
        assert dict(target.files("nowhere")) == {}
        assert target.folders("nowhere/at all") == []

    def test_what_is_not_there_is_missing(self, target: Target) -> None:
        with pytest.raises(ObjectMissing):
            target.stat("m/issing")
        with pytest.raises(ObjectMissing):
            list(target.read("m/issing"))

    def test_the_pruner_deletes_and_twice_is_no_error(self, target: Target, deleting: DeletingTarget) -> None:
        target.write("d/one", b"1")
        target.write("d/two", b"2")
        deleting.delete("d/one")
        deleting.delete("d/one")
        assert dict(target.files("d")) == {"two": 1}
        deleting.delete("d/two")
        assert target.folders("") == []
        target.write("e/chain/part-1/three", b"3")
        deleting.delete("e/chain/part-1/three")
        assert target.folders("") == [], "folders that hold nothing but empty ones"

    @pytest.mark.trial("S-11")
    def test_what_hosts_and_stations_open_has_no_way_to_delete(self, target: Target) -> None:
        assert not hasattr(target, "delete")

    def test_it_says_when_a_file_was_written(self, target: Target) -> None:
        before = datetime.now(UTC)
        target.write("w/hen", b"now")
        changed_at = target.stat("w/hen").changed_at
        assert changed_at is not None
        assert abs(changed_at - before) < timedelta(minutes=2)

    def test_many_files_are_all_listed(self, target: Target) -> None:
        for number in range(self.many):
            target.write(f"many/{number:03}", b"")
        assert sorted(target.files("many")) == [f"{number:03}" for number in range(self.many)]

    def test_reaching_twice_changes_nothing(self, target: Target) -> None:
        target.write("k/ept", b"kept")
        target.reach()
        assert dict(target.files("k")) == {"ept": 4}

    def test_the_url_holds_no_secret(self, target: Target) -> None:
        secrets = [value for name, value in target.environment().items() if "KEY" in name or "PASSWORD" in name]
        assert not any(secret in target.url("host/set/chains/x") for secret in secrets)
