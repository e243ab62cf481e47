"""What an agent knows again after a restart: the highest epoch it saw, and the configuration in force."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.runtime.logging import Log

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

log = Log("agent")


@dataclass(frozen=True, kw_only=True)
class Remembered:
    """`epoch` is the highest ever seen; `body` the document of `version`, None when none ever came."""

    epoch: int = 0
    version: int = 0
    body: Mapping[str, Any] | None = None


def load(path: Path) -> Remembered:
    """Read the file; nothing is remembered when there is none, or when it is damaged, which is logged."""
    try:
        found = json.loads(path.read_bytes())
        epoch, version, body = found["epoch"], found["version"], found["body"]
        if type(epoch) is not int or type(version) is not int or not isinstance(body, dict | None):
            raise TypeError("a field has another type")  # noqa: TRY301 - one path for every kind of damage
    except FileNotFoundError:
        return Remembered()
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning(
            "What was remembered cannot be read; the server will send its configuration anew", file=path, error=error
        )
        return Remembered()
    return Remembered(epoch=epoch, version=version, body=body)


def save(path: Path, remembered: Remembered) -> None:
    """Write the file so that a crash leaves the old one or the new one, never a mixture. Raises OSError."""
    draft = path.with_name(f".{path.name}.new")
    content = {"epoch": remembered.epoch, "version": remembered.version, "body": remembered.body}
    with draft.open("w", encoding="utf-8") as file:
        json.dump(content, file, default=repr)  # bytes: no probe takes them, and the fault names them
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
