"""Which programs a probe may start: what the administrator of this machine wrote into its settings, nothing else."""

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
    path = Path(program)
    if not path.is_absolute() or os.path.normpath(program) != program:
        raise ProbeFailedError(f"{program} may not be started: write its absolute path, without .. in it")
    if not any(path == allowed or allowed in path.parents for allowed in commands):
        raise ProbeFailedError(
            f"{program} may not be started: it is not among `commands` in the agent.toml of this machine"
        )
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise ProbeFailedError(f"{program}: {error.strerror}") from error
    if mode & stat.S_IWOTH:
        raise ProbeFailedError(f"{program} may not be started: everybody may change it; chmod o-w {program}")
