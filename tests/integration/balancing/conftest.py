from __future__ import annotations

from tests.support.postgres import database, database_options, embedded, timescale, writer

__all__ = ["database", "database_options", "embedded", "timescale", "writer"]
