"""Keeps duplicity from fetching what a restore does not need: damage there would end the restore of what is whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backup.engine.names import role_of, run_instant
from backup.model import Role
from backup.saving.cache import local_name

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from pathlib import Path


def lay_stand_ins(cache: Path, names: Iterable[str], at: datetime, *, needs_signatures: bool) -> None:
    """Lay empty files into duplicity's cache for the lists of a chain that the restore point of `at` does not need.

    Before it restores, duplicity brings all lists of the chain that its cache lacks, and fails at the first that is
    damaged, whatever it is of. Needed are the manifests of the runs up to the point; with `needs_signatures` their
    signatures, too. names: of the chain's files, with the folders of their parts.
    """
    for name in names:
        role, instant = role_of(name.rpartition("/")[2]), run_instant(name)
        is_listed = role is Role.MANIFEST or role is Role.SIGNATURES
        is_later = instant is not None and instant > at
        if is_listed and (is_later or (role is Role.SIGNATURES and not needs_signatures)):
            _lay(cache / local_name(name))


def lay_missing(cache: Path, names: Iterable[str]) -> None:
    """Lay empty files for signatures that are not at the target, in the form of those that are still being written.

    Where the newest run's are missing, duplicity takes that run for unfinished, restores the one before it and ends
    well. It clears away whole signatures that the target lacks, but no unfinished ones, and counts these for the run.
    """
    for name in names:
        _lay(_unfinished(cache, name))


def has_signatures(cache: Path, name: str) -> bool:
    """Tell whether duplicity went by some file for these signatures of a run, so that it did not leave the run out."""
    return (cache / local_name(name)).exists() or _unfinished(cache, name).exists()


def _unfinished(cache: Path, name: str) -> Path:
    return cache / f"{name.removesuffix('.gpg')}.part"


def _lay(stand_in: Path) -> None:
    stand_in.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    stand_in.touch()
