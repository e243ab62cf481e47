"""A site with a full and two incrementals at a folder and at a real Swift, made once for a session.

Import the fixtures `grown` and `swift` in a conftest.py.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.backup_site import CHECKOUT, backup_site, bkp_ok

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.backup_site import BackupSite
    from tests.support.swift import Swift

SETS = {"folder": "files", "swift": "cloud"}


@dataclass
class Grown:
    """The site, what was saved, and how it looked at each of the three runs: copies with owners, modes and times."""

    site: BackupSite
    data: Path
    looks: list[Path]

    @property
    def inside(self) -> str:
        """The data's path as it is in a backup."""
        return str(self.data).lstrip("/")

    def points(self, target: str) -> list[dict[str, Any]]:
        """Return the restore points of the set at a target, oldest first."""
        listed: list[dict[str, Any]] = bkp_ok(
            "list", f"web1/{SETS[target]}", *self.at(target), config=self.site.station
        )["points"]
        return listed[::-1]

    def at(self, target: str) -> list[str]:
        """Return the options that choose the target."""
        return ["--target", "store" if target == "folder" else "swift"]


@pytest.fixture(scope="session")
def grown(request: pytest.FixtureRequest) -> Iterator[Grown]:
    swift: Swift = request.getfixturevalue("swift")
    with backup_site() as site:
        data = site.folder / "data"
        site.add_folder_target()
        site.add_swift_target(swift.auth_url, swift.user, swift.key, swift.new_container())
        site.add_paths_set(SETS["folder"], "store", [data])
        site.add_paths_set(SETS["swift"], "swift", [data])
        site.write()
        made = Grown(site, data, [])
        for change in (_begin, _grow, _shrink):
            change(data)
            look = site.folder / f"look-{len(made.looks)}"
            subprocess.run(["cp", "-a", str(data), str(look)], check=True, timeout=300)
            made.looks.append(look)
            _save_everywhere(site)
        yield made


def _save_everywhere(site: BackupSite) -> None:
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "backup.command", "run", name, "--json", "--config", str(site.host)],
            cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for name in SETS.values()
    ]  # fmt: skip
    for each in running:
        said, _ = each.communicate(timeout=900)
        assert each.returncode == 0, said


def _begin(data: Path) -> None:
    dice = random.Random(1)
    (data / "etc").mkdir(parents=True)
    (data / "etc" / "hosts").write_text("127.0.0.1 localhost\n")
    (data / "etc" / "motd").symlink_to("hosts")
    (data / "ümlaut name").write_bytes(dice.randbytes(3000))
    (data / os.fsdecode(b"not utf-8 \xff")).write_text("odd")
    (data / "empty folder").mkdir(mode=0o750)
    (data / "large.bin").write_bytes(dice.randbytes(1_500_000))
    (data / "program").write_text("#!/bin/sh\n")
    (data / "program").chmod(0o4755)
    os.utime(data / "program", (1_000_000_000, 1_100_000_000))
    if os.geteuid() == 0:
        os.chown(data / "etc" / "hosts", 1, 12)


def _grow(data: Path) -> None:
    (data / "etc" / "hosts").write_text("127.0.0.1 localhost\n10.0.0.1 db1\n")
    before = (data / "large.bin").stat().st_mtime
    with (data / "large.bin").open("r+b") as large:
        large.seek(700_000)
        large.write(b"changed in the middle")
    os.utime(data / "large.bin", (before + 2,) * 2)  # as large as it was: duplicity knows it by the whole second alone
    (data / "later").write_text("came with the first incremental")


def _shrink(data: Path) -> None:
    shutil.rmtree(data / "empty folder")
    (data / "ümlaut name").unlink()
    (data / "later").write_text("changed with the second")
    (data / "newest").write_text("came with the second incremental")
