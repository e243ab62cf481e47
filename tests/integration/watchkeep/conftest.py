from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from server.store.database import DatabaseOptions
from tests.support.postgres import embedded
from watchkeep.installation import Installation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.postgres import DatabaseServer

__all__ = ["embedded"]


@pytest.fixture
def options(embedded: DatabaseServer) -> Iterator[DatabaseOptions]:
    """A fresh database without our tables."""
    with embedded.fresh_database() as dsn:
        yield DatabaseOptions(dsn=dsn, server="one")


@pytest.fixture
def data(options: DatabaseOptions, tmp_path: Path) -> Path:
    """The folder of an installation with that database."""
    folder = tmp_path / "installation"
    folder.mkdir(mode=0o700)
    Installation(dsn=options.dsn, url="http://127.0.0.1:1/", server="one").write(folder)
    return folder
