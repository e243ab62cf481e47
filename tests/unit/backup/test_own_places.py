"""A set of files never saves its own target, the work folder or, by chance, the host's keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backup.errors import SourceFailed
from backup.settings.document import read_settings
from backup.settings.source import PathsSettings
from backup.sources.files.own_places import own_below, own_places, said_left_out
from backup.sources.files.paths import PathsSource

if TYPE_CHECKING:
    from pathlib import Path

    from backup.sources.files.own_places import OwnPlace

_CONFIG = """host = "web1"
[[targets]]
name = "store"
kind = "folder"
folder = "link/store"
[[sets]]
name = "files"
target = "store"
paths.roots = ["/etc"]
"""


@pytest.fixture
def own(tmp_path: Path) -> list[OwnPlace]:
    """What is a host's own whose configuration, keys and target lie in one folder."""
    (tmp_path / "real/store").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "backup.toml").write_text(_CONFIG)
    settings = read_settings(tmp_path / "backup.toml")
    settings.work.mkdir()
    return own_places(settings, settings.find_set("files"))


def test_what_is_our_own_below_a_root_is_left_out_and_told(own: list[OwnPlace], tmp_path: Path) -> None:
    assert {str(each.path.relative_to(tmp_path)) for each in own_below([tmp_path], own)} == {
        "real/store", "work", "keys/host", "keys/host.passphrase",
    }  # fmt: skip
    assert f"target 'store' ({tmp_path}/real/store)" in said_left_out(own_below([tmp_path], own))
    assert own_below([tmp_path / "data"], own) == []
    with PathsSource(PathsSettings(roots=(tmp_path,)), own=own).prepare(tmp_path) as prepared:
        assert f"{tmp_path}/real/store" in prepared.consistency["left_out"]
        (options,) = prepared.selections
        assert options[0].startswith("--exclude-regexp=")
        assert "real/store" in options[0]


@pytest.mark.parametrize("root", ["real/store", "real/store/web1", "work"])
def test_a_root_that_would_save_itself_is_refused(own: list[OwnPlace], tmp_path: Path, root: str) -> None:
    with pytest.raises(SourceFailed, match="would save itself"):
        own_below([tmp_path / root], own)


def test_keys_that_a_set_names_are_saved(own: list[OwnPlace], tmp_path: Path) -> None:
    kept = own_below([tmp_path, tmp_path / "keys/host"], own)
    assert str(tmp_path / "keys/host") not in {str(each.path) for each in kept}


def test_a_target_whose_disk_is_away_keeps_no_other_from_being_saved_to(own: list[OwnPlace], tmp_path: Path) -> None:
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to("link/nowhere")
    settings = read_settings(tmp_path / "backup.toml")
    assert [each.path for each in own_places(settings, settings.find_set("files"))][1:] == [
        each.path for each in own[1:]
    ]
