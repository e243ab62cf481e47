"""What lies at a target, read whole and summed, or many small files one after the other."""

from __future__ import annotations

import hashlib
from contextlib import nullcontext
from typing import TYPE_CHECKING

from backup.targets.contract import FetchingTarget

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from backup.targets.contract import Target


def read_sha256(target: Target, name: str) -> tuple[str, int]:
    """Read a file to its end; return its SHA-256 in hex and its bytes. Raises what the target raises."""
    digest, size = hashlib.sha256(), 0
    for piece in target.read(name):
        digest.update(piece)
        size += len(piece)
    return digest.hexdigest(), size


def at_hand(target: Target, folder: str, files: Mapping[str, int]) -> AbstractContextManager[None]:
    """Return a context in which many small files of a folder (name to bytes) are read, each soon."""
    return target.fetching(folder, files) if isinstance(target, FetchingTarget) else nullcontext()
