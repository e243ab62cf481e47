"""What the host saw of each entry when it saved it, block by block, from duplicity's signature files."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from backup.browse.signatures import read_members
from backup.errors import DrillFailed

if TYPE_CHECKING:
    import tarfile
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_MD4: Final = 0x72730136  # librsync's RS_MD4_SIG_MAGIC, which duplicity uses
_HEADER: Final = struct.Struct(">III")
_WEAK_BYTES: Final = 4


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
    """Yield every entry as it is at the last of `files` (a full's, then its incrementals'), in no order that counts.

    The last file that names an entry says what it was; the root itself is left out. Reads the files twice, so that
    memory is for the names only. Raises EngineFailed or DrillFailed naming what cannot be read.
    """
    newest: dict[str, int] = {}
    for number, file in enumerate(files):
        for _, path, _, _ in read_members(file):
            newest[path] = number
    for number, file in enumerate(files):
        for how, path, info, members in read_members(file):
            if path and newest[path] == number and how != "deleted":
                yield Saved(path=path, info=info) if how == "snapshot" else _file(path, info, members)


def _file(path: str, info: tarfile.TarInfo, members: tarfile.TarFile) -> Saved:
    opened = members.extractfile(info)
    signature = b"" if opened is None else opened.read()
    magic, block_bytes, sum_bytes = _HEADER.unpack_from(signature) if len(signature) >= _HEADER.size else (0, 0, 0)
    if magic != _MD4 or block_bytes < 1 or sum_bytes < 1:
        raise DrillFailed(f"the signature of {path!r} is of another kind (0x{magic:08x}) than this Watchkeep can read")
    step = _WEAK_BYTES + sum_bytes
    sums = tuple(signature[at + _WEAK_BYTES : at + step] for at in range(_HEADER.size, len(signature), step))
    return Saved(path=path, info=info, block_bytes=block_bytes, sums=sums)
