"""Reads definitions from the files and folders named on the command line, and reaches the installation's database."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from server.inventory.apply import Proposal, check_documents, propose
from server.inventory.fault import Fault
from server.inventory.yaml import MAX_FILE_BYTES, read_yaml
from server.store.database import Database, DatabaseOptions
from server.store.errors import StoreError
from watchkeep.installation import InstallationError, find_installation

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from server.inventory.yaml import Document

STANDARD_INPUT: Final = "-"
_SUFFIXES: Final = (".yaml", ".yml")


def open_database(data: Path | None) -> Database:
    """Make ready to reach the database of the installation in `data`. Raises InstallationError."""
    return Database(DatabaseOptions(dsn=find_installation(data).dsn, server="command", max_connections=1))


async def propose_files(data: Path | None, places: Sequence[str], *, prune: bool) -> Proposal:
    """Judge the files and compare them with what is stored; nothing changes.

    Raises InstallationError and StoreError, but not when the files alone have faults to tell. A file that is no YAML
    hides what it defines, so then nothing is said about references.
    """
    documents, faults = read_places(places)
    checked = check_documents(documents)
    if faults:
        return Proposal(changes=[], faults=sorted([*faults, *checked.faults]), revision=0)
    try:
        async with open_database(data) as database:
            proposal = await propose(database, checked, via="file", prune=prune)
    except (InstallationError, StoreError):
        if not checked.faults:
            raise
        return Proposal(changes=[], faults=sorted(checked.faults), revision=0)
    return replace(proposal, faults=sorted(proposal.faults))


def read_places(places: Sequence[str]) -> tuple[list[Document], list[Fault]]:
    """Read every document of the files; folders are read whole, "-" is the standard input."""
    documents: list[Document] = []
    faults: list[Fault] = []
    for place in places:
        if place == STANDARD_INPUT:
            text = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
            found, wrong = read_yaml(text, "(standard input)")
            documents += found
            faults += wrong
            continue
        for path in _files_of(Path(place), faults):
            try:
                with path.open("rb") as file:
                    text = file.read(MAX_FILE_BYTES + 1)
            except OSError as error:
                faults.append(_fault(path, f"cannot be read: {error.strerror}", "Check that it may be read."))
                continue
            found, wrong = read_yaml(text, str(path))
            documents += found
            faults += wrong
    if not documents and not faults:
        faults.append(_fault(Path(places[0]), "holds no definition", "Write one, beginning with `kind:`."))
    return documents, faults


def _files_of(place: Path, faults: list[Fault]) -> Iterable[Path]:
    if not place.exists():
        faults.append(_fault(place, "does not exist", "Check the name."))
        return ()
    if not place.is_dir():
        return (place,)
    found = sorted(path for path in place.rglob("*") if path.suffix in _SUFFIXES and path.is_file())
    if not found:
        faults.append(_fault(place, "holds no .yaml file", "Name a folder with definitions, or the files themselves."))
    return found


def _fault(path: Path, message: str, remedy: str) -> Fault:
    return Fault(file=str(path), line=0, column=0, path="", message=message, remedy=remedy)
