"""A real Swift with tempauth on loopback, for one test session. Import the fixture `swift` in a conftest.py."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).parents[2]
READY_SECONDS = 300.0


@dataclass(frozen=True, kw_only=True)
class Swift:
    """A running Swift: how one signs in (auth version 1), and where its objects lie on disk."""

    pid: int
    port: int
    folder: Path
    user: str = "test:tester"
    key: str = "testing"
    other_user: str = "other:tester"

    @property
    def auth_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/auth/v1.0"

    def new_container(self) -> str:
        """Return a name nobody has used; the container is made by whoever writes to it."""
        return f"backups-{uuid4().hex[:12]}"


@contextmanager
def running_swift(keystone: str | None = None) -> Iterator[Swift]:
    """Run Swift in a folder of its own; process and folder are gone afterwards. `keystone`: who says who is who."""
    folder = Path(tempfile.mkdtemp(prefix="watchkeep-swift-"))
    port_file = folder / "port"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.support.swift_process", str(folder), str(port_file),
             *([keystone] if keystone else [])],
            cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env=os.environ | {"EVENTLET_NO_GREENDNS": "yes"},
        )  # fmt: skip
    try:

        def is_ready() -> bool:
            assert process.poll() is None, (folder / "log").read_text(errors="replace")[-3000:]
            return port_file.exists()

        wait_until(is_ready, READY_SECONDS, "a Swift that answers")
        yield Swift(pid=process.pid, port=int(port_file.read_text()), folder=folder)
    finally:
        process.kill()
        process.wait(timeout=120)
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def swift() -> Iterator[Swift]:
    with running_swift() as running:
        yield running
