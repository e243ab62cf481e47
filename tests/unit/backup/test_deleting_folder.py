"""Deleting in a folder that others may write to stays within it, whatever links they put there (trial S-8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backup.errors import TargetRefused
from backup.settings.target import TargetSettings
from backup.targets.deleting import open_for_deleting

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("link", ["web1/files/chains", "web1/files/chains/20261101T000000Z", "web1/files"])
def test_a_link_in_the_way_deletes_nothing_elsewhere(tmp_path: Path, link: str) -> None:
    """A host with a folder of its own at a shared disk links to another's and names the other's files as its own."""
    store = tmp_path / "store"
    theirs = store / "web2" / link.removeprefix("web1/")
    name = "web1/files/chains/20261101T000000Z/duplicity-full.vol1"
    victim = store / name.replace("web1", "web2")
    victim.parent.mkdir(parents=True)
    victim.write_bytes(b"theirs")
    (store / link).parent.mkdir(parents=True)
    (store / link).symlink_to(theirs)
    settings = TargetSettings(name="store", kind="folder", folder=store)
    with open_for_deleting(settings) as target, pytest.raises(TargetRefused, match="symbolic link"):
        target.delete(name)
    assert victim.read_bytes() == b"theirs"


@pytest.mark.parametrize("name", ["../outside", "web1/../../outside", "web1/files/../../../outside"])
def test_a_name_that_leads_out_deletes_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / "store" / "web1" / "files").mkdir(parents=True)
    (tmp_path / "outside").write_bytes(b"kept")
    settings = TargetSettings(name="store", kind="folder", folder=tmp_path / "store")
    with open_for_deleting(settings) as target, pytest.raises(TargetRefused, match="leads out"):
        target.delete(name)
    assert (tmp_path / "outside").exists()


def test_a_link_among_the_files_is_removed_and_not_what_it_leads_to(tmp_path: Path) -> None:
    folder = tmp_path / "store" / "web1"
    folder.mkdir(parents=True)
    (tmp_path / "outside").write_bytes(b"kept")
    (folder / "file").symlink_to(tmp_path / "outside")
    with open_for_deleting(TargetSettings(name="store", kind="folder", folder=tmp_path / "store")) as target:
        target.delete("web1/file")
        target.delete("web1/file")
        target.delete("web3/nothing/there")
    assert (tmp_path / "outside").exists()
    assert not folder.exists()
