"""Others may delete in a folder target meanwhile: all else in it is listed, and what is written comes to lie there."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from backup.settings.target import TargetSettings
from backup.targets.folder import FolderTarget

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest


def _target(folder: Path) -> FolderTarget:
    return FolderTarget(TargetSettings(name="store", kind="folder", folder=folder))


def test_a_file_that_goes_while_its_folder_is_listed_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abcde":
        (tmp_path / name).write_text(name)
    listed = os.scandir
    gone = ""

    @contextmanager
    def going(folder: Path) -> Iterator[Iterator[os.DirEntry[str]]]:
        nonlocal gone
        with listed(folder) as entries:
            found = list(entries)
        gone = found[1].name
        os.unlink(found[1])  # noqa: PTH108 - an entry is no Path
        yield iter(found)

    monkeypatch.setattr(os, "scandir", going)
    files = _target(tmp_path).files("")
    assert dict(files) == dict.fromkeys(set("abcde") - {gone}, 1)


def test_a_folder_that_goes_with_its_last_file_is_made_again_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, opened = tmp_path / "web1" / "marks", Path.open

    def opening(path: Path, mode: str) -> object:
        if made.parent.exists():
            monkeypatch.setattr(Path, "open", opened)
            made.rmdir()
            made.parent.rmdir()
        return opened(path, mode)

    monkeypatch.setattr(Path, "open", opening)
    _target(tmp_path).write("web1/marks/one.json", b"read")
    assert (made / "one.json").read_bytes() == b"read"
