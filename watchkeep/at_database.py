"""Runs a command's work at the installation's database; what fails there ends the command with its reason."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from server.store.database import Database, DatabaseOptions
from server.store.errors import StoreError
from watchkeep.command_options import fail
from watchkeep.installation import InstallationError, find_installation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine
    from pathlib import Path


@asynccontextmanager
async def command_database(data: Path | None, purpose: str) -> AsyncIterator[Database]:
    """Open the database of the installation in `data`. Raises InstallationError, StoreError."""
    options = DatabaseOptions(dsn=find_installation(data).dsn, server="command", max_connections=1)
    async with Database(options, purpose=purpose) as database:
        yield database


def run_at_database(work: Coroutine[Any, Any, Any], *, as_json: bool) -> Any:
    """Run the work and return what it returns; end with exit code 2 when installation or database cannot be used."""
    try:
        return asyncio.run(work)
    except (InstallationError, StoreError) as error:
        fail(str(error), as_json=as_json)
