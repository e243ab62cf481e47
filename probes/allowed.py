"""Which programs a probe may start and which logs it may read: what this machine's own settings say, nothing else."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from probes.declaration import ProbeFailedError

if TYPE_CHECKING:
    from collections.abc import Sequence


def require_allowed(program: str, commands: Sequence[Path]) -> None:
    """Raise ProbeFailedError, with the remedy, unless `program` is one of `commands` or lies below a folder of them.

    Compared as written, never resolved: many programs are links to one that can do everything. Who may change an
    allowed folder decides what runs; a program that everybody may change is refused.
    """
    if not commands:
        raise ProbeFailedError(
            f"{program} may not be started: this machine allows no commands; name them in `commands` of its agent.toml"
        )
    if not _is_plain(program):
        raise ProbeFailedError(f"{program} may not be started: write its absolute path, without .. in it")
    if not _is_among(program, commands):
        raise ProbeFailedError(
            f"{program} may not be started: it is not among `commands` in the agent.toml of this machine"
        )
    try:
        mode = Path(program).stat().st_mode
    except OSError as error:
        raise ProbeFailedError(f"{program}: {error.strerror}") from error
    if mode & stat.S_IWOTH:
        raise ProbeFailedError(f"{program} may not be started: everybody may change it; chmod o-w {program}")


def require_log(file: str, logs: Sequence[Path]) -> None:
    """Raise ProbeFailedError, with the remedy, unless `file` is one of `logs` or lies below a folder of them.

    The agent may be able to read much that no server needs to see, and programs own their folders of logs: what a link
    there points at has to be allowed as well.
    """
    if not _is_plain(file):
        raise ProbeFailedError(f"{file} may not be read: write its absolute path, without .. in it")
    real = os.path.realpath(file)
    if not _is_among(file, logs) or not _is_among(real, [Path(os.path.realpath(each)) for each in logs]):
        to = f" (a link to {real})" if real != file else ""
        raise ProbeFailedError(
            f"{file}{to} may not be read: add it, or its folder, to `logs` in the agent.toml of this machine"
        )


def _is_plain(path: str) -> bool:
    return path.startswith("/") and os.path.normpath(path) == path


def _is_among(path: str, allowed: Sequence[Path]) -> bool:
    return any(Path(path) == each or each in Path(path).parents for each in allowed)
