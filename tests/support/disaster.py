"""The lines of docs/disaster.md, run as they stand there by somebody who has nothing but what he brings."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
_BLOCK = re.compile(r"<!-- disaster: ([a-z ]+) -->\n```sh\n(.*?)```", re.DOTALL)


def lines_of(name: str) -> str:
    """Return the block of a name. There are no two of one name."""
    blocks = _BLOCK.findall((CHECKOUT / "docs" / "disaster.md").read_text())
    (found,) = [lines for title, lines in blocks if title == name]
    return str(found)


def follow(name: str, place: Path, said: str = "", **variables: str | Path) -> str:
    """Run a block in `place`, with `said` typed in; return what it printed. A command that fails, fails the test."""
    programs = place / "programs"
    programs.mkdir(exist_ok=True)
    for command, module in (("bkp", "backup.command"), ("watchkeep", "watchkeep")):
        script = programs / command
        script.write_text(f'#!/bin/sh\nPYTHONPATH="{CHECKOUT}" exec "{sys.executable}" -m {module} "$@"\n')
        script.chmod(0o755)
    found = [str(folder) for folder in sorted(_postgresql())]
    path = ":".join((str(programs), str(Path(sys.executable).parent), *found, os.environ["PATH"]))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", lines_of(name)], cwd=place, input=said, capture_output=True, text=True,
        check=False, timeout=900,
        env={"PATH": path, "HOME": str(place), **{key: str(value) for key, value in variables.items()}},
    )  # fmt: skip
    assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def _postgresql() -> list[Path]:
    """Return the folder of the embedded client programs, which are as new as the servers of the tests."""
    from backup.sources.postgresql.psql import embedded_folders  # noqa: PLC0415 - only for databases

    return [*embedded_folders()][:1]
