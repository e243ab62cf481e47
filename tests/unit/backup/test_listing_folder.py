"""A folder is listed whole while others delete in it: what is not listed would count as gone, or as read by nobody."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from backup.settings.target import TargetSettings
from backup.targets.folder import FolderTarget

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest


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
    files = FolderTarget(TargetSettings(name="store", kind="folder", folder=tmp_path)).files("")
    assert dict(files) == dict.fromkeys(set("abcde") - {gone}, 1)
