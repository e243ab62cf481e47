"""Image files of QEMU that nothing has open, saved and brought back."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from backup.errors import SourceFailed
from backup.model import Kind
from backup.runtime.mounts import mounts_below
from tests.support.backups import new_site
from tests.support.hypervisor import make_disk, sum_of
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.backups import Pairs, Site


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return make_disk(tmp_path / "golden.qcow2", "16M", is_formatted=True)


@pytest.fixture
def saved(pairs: Pairs, image: Path) -> Iterator[Site]:
    with new_site(pairs, source=f'max_block_size = 4096\nimage.files = ["{image}"]') as site:
        yield site


def write_into(image: Path) -> None:
    """Write a megabyte into an image, as a guest would."""
    order = f"write -P {os.urandom(1)[0] | 1} 8M 1M"
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", order, image], check=True, stdout=subprocess.DEVNULL, timeout=300)


def test_an_image_comes_back_as_a_guest_would_read_it(saved: Site, image: Path, tmp_path: Path) -> None:
    saved.run()
    write_into(image)
    again = saved.run()
    assert again.kind is Kind.INCREMENTAL
    assert again.stored_bytes is not None
    assert again.stored_bytes < 1 << 20
    done = saved.bkp("station", "restore", "files", "--to", str(tmp_path / "back"))
    assert done.returncode == 0, done.stderr
    back = tmp_path / "back/disks/golden.raw"
    assert sum_of(back, "raw") == sum_of(image, "qcow2")
    assert back.stat().st_blocks * 512 < back.stat().st_size / 2  # sparse
    part = saved.bkp("station", "restore", "files", "--to", str(tmp_path / "part"), "--path", "disks/golden.raw")
    assert part.returncode == 51
    assert "only a part" in part.stderr
    depth = saved.bkp("station", "verify", "files", "--depth", "decrypted")
    assert depth.returncode == 0, depth.stdout + depth.stderr


def test_an_image_in_use_fails_the_run_and_leaves_nothing(saved: Site, image: Path, tmp_path: Path) -> None:
    socket = tmp_path / "in-use"
    with subprocess.Popen(["qemu-nbd", "--format=qcow2", "--persistent", f"--socket={socket}", image]) as user:

        def is_used() -> bool:
            """Whether it answers: it listens before it opens the image."""
            asked = ["qemu-img", "info", f"nbd+unix:///?socket={socket}"]
            if not socket.is_socket():
                return False
            return subprocess.run(asked, check=False, capture_output=True, timeout=120).returncode == 0

        try:
            wait_until(is_used, 240, "somebody using the image")
            with pytest.raises(SourceFailed, match="lock"):
                saved.run()
        finally:
            user.terminate()
    assert mounts_below(saved.folder) == []
    assert saved.run().kind is Kind.FULL


def test_an_image_that_grew_brings_a_full_that_says_why(saved: Site, image: Path) -> None:
    saved.run()
    subprocess.run(["qemu-img", "resize", "-q", image, "24M"], check=True, timeout=300)
    record = saved.run()
    assert record.kind is Kind.FULL
    assert record.reason == "image golden is new, gone, or another one"
