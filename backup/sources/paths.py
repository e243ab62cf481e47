"""Files and folders as a source."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from backup.errors import SourceFailed
from backup.sources.contract import Prepared
from backup.sources.survey import ATTRIBUTES, LISTS, survey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backup.settings.source import PathsSettings


class PathsSource:
    """Saves the roots of the settings with their whole paths, so that a restore point shows `etc/hosts`.

    Files that change while they are read are saved as they are at that moment; one that vanishes or cannot be read is
    named and counted by the engine, and the run goes on. What backups do not keep is named in the manifest; access
    lists and extended attributes, which change who may do what, are told at every run.
    """

    kind = "paths"

    def __init__(self, settings: PathsSettings) -> None:
        self._settings = settings

    @contextmanager
    def prepare(self, scratch: Path) -> Iterator[Prepared]:  # noqa: ARG002 - the contract's; files are read in place
        """Name the roots to duplicity. Raises SourceFailed when one is not there: an empty backup is never "ok"."""
        real = [_real(root) for root in self._settings.roots]
        lost = survey(
            real,
            [_below(pattern) for pattern in self._settings.exclude],
            one_file_system=self._settings.one_file_system,
        )
        yield Prepared(
            root=Path("/"),
            selection=selection(replace(self._settings, roots=tuple(real))),
            consistency={"roots": [str(root) for root in real], "not_kept": list(lost.words())},
            remarks=lost.words((ATTRIBUTES, LISTS)),
        )


def _real(root: Path) -> Path:
    """Return a root without symbolic links: duplicity follows none, and would save nothing of what lies behind one."""
    try:
        return root.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise SourceFailed(f"{root} cannot be saved: {error}; correct the set's paths") from error


def selection(settings: PathsSettings) -> tuple[str, ...]:
    """Return duplicity's selection: what to leave out, then the roots, then nothing else. The first to fit counts."""
    options = ["--exclude-other-filesystems"] if settings.one_file_system else []
    for pattern in settings.exclude:
        options += [f"--exclude={_below(pattern)}"]
    options += [f"--include={_literal(os.fspath(root))}" for root in settings.roots]
    return (*options, "--exclude=**")


def _below(pattern: str) -> str:
    return pattern if pattern.startswith(("/", "**")) else f"**/{pattern}"


def _literal(path: str) -> str:
    """Return a path as a pattern that means this path: duplicity reads *, ? and [ as wildcards."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in os.path.normpath(path))
