"""How large the blocks are that deltas are made of, where a set does not say it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

SMALLEST_BYTES: Final = 4096  # pages of databases and of most file systems; a multiple of 512, as duplicity has them
MOST_BLOCKS: Final = 1 << 21  # of one file: the next run holds the sums of them all in memory


def fitting_block(folder: Path) -> int:
    """Return the largest block for dumps and images in a folder: 4 KiB, more where a file is above 8 GiB.

    duplicity's own choice is the square root of the file's size: of a gigabyte's dump 32 KiB are stored anew for
    every row that changed.
    """
    largest = 0
    for path, _, names in os.walk(folder):
        for name in names:
            status = os.lstat(Path(path) / name)
            if stat.S_ISREG(status.st_mode):
                largest = max(largest, status.st_size)
    wanted = -(-largest // MOST_BLOCKS)
    return max(SMALLEST_BYTES, -(-wanted // SMALLEST_BYTES) * SMALLEST_BYTES)
