"""Real backups for the tests of this folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.integration.api.conftest import database, options
from tests.support.backups import pairs, site
from tests.support.grown_backups import grown
from tests.support.hypervisor import counting, hypervisor
from tests.support.patience import give_time
from tests.support.postgres import embedded
from tests.support.swift import swift

if TYPE_CHECKING:
    import pytest

__all__ = ["counting", "database", "embedded", "grown", "hypervisor", "options", "pairs", "site", "swift"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    give_time(items, Path(__file__).parent)
