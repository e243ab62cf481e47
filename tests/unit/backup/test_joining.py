"""Restored parts become one tree: nothing is lost, and what several have is as the first of them has it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from backup.restoring.joining import join

if TYPE_CHECKING:
    from pathlib import Path


def _fill(top: Path, *names: str, mode: int = 0o755, at: int = 1_000_000_000) -> Path:
    (top / "common").mkdir(parents=True)
    for name in names:
        (top / "common" / name).parent.mkdir(exist_ok=True, parents=True)
        (top / "common" / name).write_text(f"{name} of {top.name}")
    (top / "common").chmod(mode)
    os.utime(top / "common", (at, at))
    return top


def test_a_folder_of_several_parts_has_all_they_have_and_mode_and_time_of_the_first(tmp_path: Path) -> None:
    first = _fill(tmp_path / "one", "a", mode=0o2510)
    second = _fill(tmp_path / "two", "b", "deep/c", mode=0o700, at=1)
    (second / "common" / "deep").chmod(0o555)
    join([first, second], tmp_path / "whole")
    common = tmp_path / "whole" / "common"
    status = common.stat()
    assert (status.st_mode & 0o7777, status.st_mtime) == (0o2510, 1_000_000_000)
    assert (common / "deep").stat().st_mode & 0o777 == 0o555
    common.chmod(0o700)
    assert {path.name for path in common.rglob("*") if path.is_file()} == {"a", "b", "c"}
    assert [each.name for each in tmp_path.iterdir()] == ["whole"]


def test_what_was_a_folder_to_one_part_and_something_else_to_another_is_the_folder(tmp_path: Path) -> None:
    first = _fill(tmp_path / "one", "a", "x/below", "same")
    second = _fill(tmp_path / "two", "x", "same")
    (tmp_path / "elsewhere").mkdir()
    (first / "common" / "y").symlink_to(tmp_path / "elsewhere")
    (second / "common" / "y").mkdir()
    (second / "common" / "y" / "below").touch()
    join([first, second], tmp_path / "whole")
    common = tmp_path / "whole" / "common"
    assert (common / "x" / "below").exists()
    assert (common / "same").read_text() == "same of one"
    assert (common / "y" / "below").exists()
    assert not (common / "y").is_symlink()
    assert not any((tmp_path / "elsewhere").iterdir())
