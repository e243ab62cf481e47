"""Removes a folder of our own, whatever modes what was restored into it has."""

from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING

from backup.errors import WorkFailed

if TYPE_CHECKING:
    from pathlib import Path


def clear(folder: Path) -> None:
    """Remove what was restored to a scratch place, whatever modes it has. Raises WorkFailed."""
    try:
        if not folder.is_dir() or folder.is_symlink():
            folder.unlink(missing_ok=True)
            return
        _let_in(str(folder))
        for parent, folders, _ in os.walk(folder):
            for name in folders:
                _let_in(os.path.join(parent, name))  # noqa: PTH118 - a million entries
        shutil.rmtree(folder)
    except FileNotFoundError:
        if folder.exists():
            raise WorkFailed(f"{folder} cannot be cleared: somebody else removes files there") from None
    except OSError as error:
        raise WorkFailed(f"{folder} cannot be cleared: {error}; remove it") from error


def _let_in(path: str) -> None:
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK) and stat.S_ISDIR(os.lstat(path).st_mode):
        os.chmod(path, 0o700)  # noqa: PTH101 - a million entries
