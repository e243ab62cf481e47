"""One installation by `watchkeep up` for all tests of the whole product; whoever stops it has it started again."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.patience import give_time
from tests.support.waiting import wait_until
from tests.system.installation import LocalWatchkeep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.api import Api


@pytest.fixture(scope="session")
def installation(figure: Callable[[str], None]) -> Iterator[LocalWatchkeep]:
    """The installation after its first start, its first values stored."""
    folder = Path(tempfile.mkdtemp(prefix="watchkeep-system-"))
    folder.chmod(0o755)  # where the checkout is reachable for an account, the data shall be too
    made = LocalWatchkeep(folder)
    try:
        made.start()
        began = time.monotonic()
        api = made.api()
        wait_until(lambda: has_values(api), 240, "the first values from the database")
        made.first_values_seconds = time.monotonic() - began
        figure(
            f"up: ready {made.starts[0]:.1f} s after the first start, values {made.first_values_seconds:.1f} s later"
        )
        yield made
        assert not made.crashes(), "a part ended by a fault of its own, and nobody noticed but its log"
    finally:
        made.clear()
        shutil.rmtree(folder)


@pytest.fixture
def running(installation: LocalWatchkeep) -> LocalWatchkeep:
    """The installation, running."""
    installation.ensure_running()
    return installation


def has_values(api: Api) -> bool:
    """Tell whether a host has a value the database knows."""
    return any(host["last_at"] is not None and host["state"] == "up" for host in api.get("/hosts")["hosts"])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    give_time(items, Path(__file__).parent)
