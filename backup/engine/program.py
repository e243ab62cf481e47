"""Where duplicity lies, and which one it is: the one beside this Python, else the system's."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from backup.errors import EngineFailed
from backup.installed import installed_version

INSTALL: Final = "pip install --no-deps duplicity"
"""Without --no-deps pip fetches the libraries of all its hundred backends, and fails to build one of them."""
_OLDEST: Final = (3, 0)
"""From here on its command line is the one we speak; what Debian 12 has (0.8) has another."""
_LIMIT_SECONDS: Final = 60.0
_VERSION: Final = re.compile(r"^duplicity (\d+(?:\.\d+)+)")


@dataclass(frozen=True, slots=True)
class Program:
    """The arguments that start duplicity, and its version."""

    arguments: tuple[str, ...]
    version: str


@cache
def find_program() -> Program:
    """Return the duplicity installed beside this Python, else the first one of PATH. Raises EngineFailed.

    The system's is asked for its version, once a process: one with another command line would fail in mid-run.
    """
    script = Path(sys.executable).parent / "duplicity"
    if script.is_file():  # not started by its first line: the kernel cuts long ones off
        return Program((sys.executable, str(script)), installed_version("duplicity"))
    found = shutil.which("duplicity")
    if found is None:
        raise EngineFailed(f"duplicity is neither installed beside {sys.executable} nor on PATH: {INSTALL}")
    version = _ask_version(found)
    if tuple(int(number) for number in version.split(".")[:2]) < _OLDEST:
        raise EngineFailed(f"{found} is duplicity {version}, which has another command line: {INSTALL}")
    return Program((found,), version)


def _ask_version(found: str) -> str:
    try:
        done = subprocess.run(
            [found, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            timeout=_LIMIT_SECONDS,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineFailed(f"{found} cannot be started: {error}") from error
    if done.returncode != 0 or (match := _VERSION.match(done.stdout)) is None:
        said = (done.stdout + done.stderr)[-300:].strip()
        raise EngineFailed(f"{found} does not say its version, exit code {done.returncode}: {said}")
    return match[1]
