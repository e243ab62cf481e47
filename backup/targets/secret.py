"""Secrets of targets, read from files: a key or a password is a file's first line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backup.errors import ConfigInvalid, why

if TYPE_CHECKING:
    from pathlib import Path


def first_line(path: Path) -> str:
    """Return a file's first line without space around it. Raises ConfigInvalid naming the file."""
    try:
        line = path.read_text(encoding="utf-8").split("\n", 1)[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"the key file {path} cannot be read: {why(error)}") from error
    if not line:
        raise ConfigInvalid(f"the key file {path} is empty")
    return line
