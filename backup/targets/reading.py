"""What lies at a target, read whole and summed."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backup.targets.contract import Target


def read_sha256(target: Target, name: str) -> tuple[str, int]:
    """Read a file to its end; return its SHA-256 in hex and its bytes. Raises what the target raises."""
    digest, size = hashlib.sha256(), 0
    for piece in target.read(name):
        digest.update(piece)
        size += len(piece)
    return digest.hexdigest(), size
