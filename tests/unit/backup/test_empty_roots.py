"""A set of files never saves nothing and calls that a backup."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backup.errors import SourceFailed
from backup.settings.source import PathsSettings
from backup.sources.files.paths import PathsSource

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A folder `scrap` with something in it, and an empty one as an unmounted disk leaves it."""
    full, mount = tmp_path / "scrap" / "app", tmp_path / "mnt"
    full.mkdir(parents=True)
    mount.mkdir()
    (full / "file").write_text("x")
    return full, mount


def test_roots_that_hold_nothing_are_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    full, mount = folders
    for settings in (PathsSettings(roots=(mount,)), PathsSettings(roots=(full, mount), exclude=("file",))):
        with pytest.raises(SourceFailed, match="nothing to save"), PathsSource(settings).prepare(tmp_path):
            pass
    with PathsSource(PathsSettings(roots=(full / "file",))).prepare(tmp_path) as prepared:
        assert prepared.consistency["empty"] == []


@pytest.mark.parametrize("pattern", ["scrap", "scrap/", "app", "/**/ap?"])
def test_a_pattern_that_leaves_a_whole_root_out_is_refused(
    folders: tuple[Path, Path], tmp_path: Path, pattern: str
) -> None:
    full, _ = folders
    settings = PathsSettings(roots=(tmp_path, full), exclude=(pattern,))
    with pytest.raises(SourceFailed, match=f"{full} cannot be saved"), PathsSource(settings).prepare(tmp_path):
        pass


def test_a_root_that_became_empty_is_told_until_the_next_full(folders: tuple[Path, Path], tmp_path: Path) -> None:
    full, mount = folders
    source = PathsSource(PathsSettings(roots=(full, mount)))
    with source.prepare(tmp_path) as prepared:
        assert prepared.remarks == ()
        before = prepared.consistency
    with source.prepare_after(tmp_path, before) as prepared:
        assert prepared.remarks == ()
    (mount / "disk").write_text("x")
    with source.prepare(tmp_path) as prepared:
        before = prepared.consistency
    (mount / "disk").unlink()
    for _ in range(2):
        with source.prepare_after(tmp_path, before) as prepared:
            assert [str(mount) in each for each in prepared.remarks] == [True]
            before = prepared.consistency
