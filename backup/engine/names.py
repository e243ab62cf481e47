"""What the names of duplicity's files say: the role of a file, the run it is of, the number of a volume."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from backup.model import Role, read_instant

if TYPE_CHECKING:
    from datetime import datetime

_RUN: Final = re.compile(
    r"duplicity-(?:full|full-signatures|(?:inc|new-signatures)\.\d{8}T\d{6}Z\.to)\.(\d{8}T\d{6}Z)\."
)
_VOLUME_NUMBER: Final = re.compile(r"\.vol(\d+)\.difftar\.gpg$")


def role_of(name: str) -> Role | None:
    """Return what a file of duplicity's is for, by its name; None when it is none of them."""
    if not name.startswith("duplicity-"):
        return None
    if _VOLUME_NUMBER.search(name):
        return Role.VOLUME
    if name.endswith(".manifest.gpg"):
        return Role.MANIFEST
    return Role.SIGNATURES if name.endswith(".sigtar.gpg") else None


def run_instant(name: str) -> datetime | None:
    """Return the instant of the run that a file of duplicity's is of, by its name; None when it is none of them.

    The folder of its part may stand before it.
    """
    match = _RUN.match(name.rpartition("/")[2])
    try:
        return None if match is None else read_instant(match[1])
    except ValueError:
        return None


def volume_number(name: str) -> int:
    """Return the number of a volume by its name; 0 when it is none."""
    match = _VOLUME_NUMBER.search(name)
    return int(match[1]) if match else 0
