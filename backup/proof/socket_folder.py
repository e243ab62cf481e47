"""A folder for the socket of a drill's database: with a short path, for its account alone, cleared when it was left."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from backup.runtime.private_folder import temporary_folder
from core.runtime.account import hand_over

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from core.runtime.account import Account


@contextmanager
def socket_folder(account: Account) -> Iterator[Path]:
    """Make one, gone at the end. The folder around it stays ours, or nobody could tell who left it. Raises OSError."""
    with temporary_folder("wk-drill-") as around:
        around.chmod(0o711)  # the account goes through it
        folder = around / "s"
        folder.mkdir(mode=0o700)
        hand_over(folder, account)
        yield folder
