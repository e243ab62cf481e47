"""What every target promises, as tests: subclass it beside a fixture `target`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backup.errors import ObjectMissing

if TYPE_CHECKING:
    from backup.targets.contract import Target

_LARGE = bytes(range(256)) * (5 << 12)  # 5 MiB: more than a piece


class TargetContract:
    def test_what_was_written_is_read_back(self, target: Target) -> None:
        for name, content in (("a/b/small", b"x"), ("a/b/empty", b""), ("a/b/large", _LARGE)):
            target.write(name, content)
            pieces = list(target.read(name))
            assert b"".join(pieces) == content
            assert all(0 < len(piece) <= 1 << 20 for piece in pieces)
            assert target.stat(name).size_bytes == len(content)

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

    def test_a_folder_that_is_not_there_is_empty(self, target: Target) -> None:
        assert dict(target.files("nowhere")) == {}
        assert target.folders("nowhere/at all") == []

    def test_what_is_not_there_is_missing(self, target: Target) -> None:
        with pytest.raises(ObjectMissing):
            target.stat("m/issing")
        with pytest.raises(ObjectMissing):
            list(target.read("m/issing"))

    def test_deleting_twice_is_no_error(self, target: Target) -> None:
        target.write("d/one", b"1")
        target.write("d/two", b"2")
        target.delete("d/one")
        target.delete("d/one")
        assert dict(target.files("d")) == {"two": 1}
        target.delete("d/two")

    def test_many_files_are_all_listed(self, target: Target) -> None:
        for number in range(30):
            target.write(f"many/{number:03}", b"")
        assert sorted(target.files("many")) == [f"{number:03}" for number in range(30)]

    def test_reaching_twice_changes_nothing(self, target: Target) -> None:
        target.write("k/ept", b"kept")
        target.reach()
        assert dict(target.files("k")) == {"ept": 4}

    def test_the_url_holds_no_secret(self, target: Target) -> None:
        secrets = [value for name, value in target.environment().items() if "KEY" in name or "PASSWORD" in name]
        assert not any(secret in target.url("host/set/chains/x") for secret in secrets)
