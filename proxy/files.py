"""Small files the proxy remembers things in: msgpack, replaced whole, on disk when written."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import msgpack

if TYPE_CHECKING:
    from pathlib import Path


def write_whole(path: Path, content: Any) -> None:
    """Replace `path` by `content`; after a crash there is the old file or the new one. Raises OSError."""
    partial = path.with_name(f".{path.name}.new")
    with partial.open("wb") as file:
        file.write(msgpack.packb(content))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_whole(path: Path) -> Any:
    """Return the content of `path`; None when there is no such file or it is damaged. Raises OSError otherwise."""
    try:
        return msgpack.unpackb(path.read_bytes(), strict_map_key=False)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, msgpack.exceptions.UnpackException):
        return None
