"""What the checks look at, gathered once: the data folder, its installation, its processes, its database."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from server.store.database import Database, DatabaseOptions
from server.store.diagnosis import diagnose
from server.store.errors import StoreError
from watchkeep.installation import InstallationError, find_installation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.store.diagnosis import Diagnosis
    from watchkeep.installation import Installation

PARTS: Final = ("server", "proxy", "agent")
_DATABASE_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessView:
    """A part's process. `open_files` is None where this user may not count them."""

    pid: int
    open_files: int | None
    file_limit: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """An installation as it is now. A fault says why the thing beside it is None."""

    data: Path
    installation: Installation | None
    installation_fault: str
    diagnosis: Diagnosis | None
    database_fault: str
    processes: Mapping[str, ProcessView]

    def config_file(self, part: str) -> Path:
        """The configuration a part is started with."""
        return self.data / f"{part}.toml"


async def examine(data: Path) -> Subject:
    """Gather everything; what cannot be had becomes a fault, never an exception."""
    installation, diagnosis = None, None
    installation_fault = database_fault = ""
    try:
        installation = find_installation(data)
    except (InstallationError, OSError) as error:
        installation_fault = str(error)
    if installation is not None:
        try:
            diagnosis = await _diagnose(installation)
        except StoreError as error:
            database_fault = str(error)
    return Subject(
        data=data,
        installation=installation,
        installation_fault=installation_fault,
        diagnosis=diagnosis,
        database_fault=database_fault,
        processes=find_processes(data),
    )


async def _diagnose(installation: Installation) -> Diagnosis:
    options = DatabaseOptions(dsn=installation.dsn, server="command", max_connections=1)
    async with Database(options, purpose="doctor") as database, database.connection(_DATABASE_SECONDS) as connection:
        return await diagnose(connection)


def find_processes(data: Path) -> dict[str, ProcessView]:
    """Find the parts that run with the configuration files of this data folder; a part's newest process counts."""
    wanted = {str(data / f"{part}.toml").encode(): part for part in PARTS}
    found: dict[str, ProcessView] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # ended meanwhile
        for argument in arguments:
            if argument in wanted:
                found[wanted[argument]] = _view(entry)
    return found


def _view(entry: Path) -> ProcessView:
    open_files = file_limit = None
    try:
        limits = (entry / "limits").read_text()
        line = next(line for line in limits.splitlines() if line.startswith("Max open files"))
        soft = line.split()[3]
        file_limit = int(soft) if soft.isdigit() else None
        open_files = len(os.listdir(entry / "fd"))  # noqa: PTH208 # counts without making paths
    except (OSError, StopIteration):
        pass  # of another user, or ended meanwhile
    return ProcessView(pid=int(entry.name), open_files=open_files, file_limit=file_limit)
