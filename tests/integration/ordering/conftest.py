from __future__ import annotations

from tests.integration.coverage.conftest import database, database_options, embedded

__all__ = ["database", "database_options", "embedded"]
