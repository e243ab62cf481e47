from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from backup.engine.blocks import MOST_BLOCKS, fitting_block
from backup.saving.sending import _largest_block
from backup.settings.backup_set import SetSettings
from backup.settings.source import CommandSettings, PathsSettings
from backup.sources.contract import Prepared

if TYPE_CHECKING:
    from pathlib import Path

_PROGRAM = CommandSettings(arguments=("/bin/true",), file_name="dump")


def _file(folder: Path, size: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "dump").open("wb") as file:
        file.truncate(size)  # a hole


@pytest.mark.parametrize("size", [0, 1 << 30, 1 << 33, (1 << 33) + 1, 25 << 32])
def test_blocks_are_small_and_never_too_many_to_hold_in_memory(tmp_path: Path, size: int) -> None:
    _file(tmp_path / "deep", size)
    block = fitting_block(tmp_path)
    assert (block == 4096) == (size <= 1 << 33)
    assert size / block <= MOST_BLOCKS
    assert size / block > MOST_BLOCKS / 2 or block == 4096
    assert block % 512 == 0


def test_dumps_have_small_blocks_files_duplicitys_own_and_what_is_said_counts(tmp_path: Path) -> None:
    _file(tmp_path, 1 << 20)
    dump = SetSettings(name="dump", target="store", command=_PROGRAM)
    files = SetSettings(name="files", target="store", paths=PathsSettings(roots=(tmp_path,)))
    chosen: dict[SetSettings, int | None] = {
        dump: 4096, files: None, replace(dump, max_block_size=512): 512, replace(files, max_block_size=8192): 8192
    }  # fmt: skip
    for each, block in chosen.items():
        attempt: Any = SimpleNamespace(chosen=each)
        assert _largest_block(attempt, Prepared(root=tmp_path)) == block
