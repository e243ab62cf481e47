"""duplicity's signature files, read without duplicity: what the host saw of each entry when it saved it.

A chain's signatures are tars: one of the full, one of each incremental. A member's name begins with `signature/` (a
plain file; its content is librsync's signature, a sum of every block), `snapshot/` (anything else) or `deleted/`. The
last member that names an entry says what it was at that point.
"""

from __future__ import annotations

import struct
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from backup.errors import DrillFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_MD4: Final = 0x72730136  # librsync's RS_MD4_SIG_MAGIC, which duplicity uses
_HEADER: Final = struct.Struct(">III")
_WEAK_BYTES: Final = 4
_FILE, _OTHER, _GONE = "signature/", "snapshot/", "deleted/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """An entry as it was saved. path: relative to the set's root. info: kind, mode, time, a link's target.

    block_bytes and sums: of a plain file, the length of its blocks and the first bytes of each one's MD4.
    """

    path: str
    info: tarfile.TarInfo
    block_bytes: int = 0
    sums: tuple[bytes, ...] = ()

    @property
    def is_file(self) -> bool:
        """Whether it is a plain file."""
        return self.block_bytes > 0


def read_saved(files: Sequence[Path]) -> Iterator[Saved]:
    """Yield every entry as it is at the last of `files`, in no order that counts; the root itself is left out.

    Reads them twice, so that memory is for the names only. Raises DrillFailed naming a file that cannot be read.
    """
    newest: dict[str, int] = {}
    for number, file in enumerate(files):
        with _members(file) as members:
            for info in members:
                newest[_path(info)] = number
    for number, file in enumerate(files):
        with _members(file) as members:
            for info in members:
                path = _path(info)
                if path and newest[path] == number and not info.name.startswith(_GONE):
                    yield _saved(path, info, members)


def _saved(path: str, info: tarfile.TarInfo, members: tarfile.TarFile) -> Saved:
    if not info.name.startswith(_FILE):
        return Saved(path=path, info=info)
    opened = members.extractfile(info)
    signature = b"" if opened is None else opened.read()
    magic, block_bytes, sum_bytes = _HEADER.unpack_from(signature)
    if magic != _MD4 or block_bytes < 1 or sum_bytes < 1:
        raise DrillFailed(f"the signature of {path!r} is of another kind (0x{magic:08x}) than this Watchkeep can read")
    step = _WEAK_BYTES + sum_bytes
    sums = tuple(signature[at + _WEAK_BYTES : at + step] for at in range(_HEADER.size, len(signature), step))
    return Saved(path=path, info=info, block_bytes=block_bytes, sums=sums)


@contextmanager
def _members(file: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(file, "r|gz", encoding="utf-8", errors="surrogateescape") as members:
            yield members
    except (OSError, EOFError, tarfile.TarError, struct.error) as error:
        raise DrillFailed(f"the signatures {file.name} cannot be read: {error}") from error


def _path(info: tarfile.TarInfo) -> str:
    for prefix in (_FILE, _OTHER, _GONE):
        if info.name.startswith(prefix):
            return info.name[len(prefix) :].strip("/")
    if info.name in (_FILE[:-1], _OTHER[:-1], _GONE[:-1]):  # the root
        return ""
    raise DrillFailed(f"the signatures name {info.name!r}, which is of no kind this Watchkeep knows")
