"""Real backups for the tests of this folder."""

from __future__ import annotations

from tests.integration.api.conftest import database, options
from tests.support.backups import pairs, site
from tests.support.grown_backups import grown
from tests.support.hypervisor import counting, hypervisor
from tests.support.postgres import embedded
from tests.support.swift import swift

__all__ = ["counting", "database", "embedded", "grown", "hypervisor", "options", "pairs", "site", "swift"]
