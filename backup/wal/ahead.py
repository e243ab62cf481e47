"""What PostgreSQL will have archived next, at a target that has the file it asks for while another one lacks it.

PostgreSQL asks for one file until it is archived, so a target that is away would keep all later ones from the others.
A file of which `archive_status` has a `.ready` is whole, on its disk, and changes no more (PostgreSQL's xlogarchive.c).
What counts as archived PostgreSQL decides as ever, by how archive_command for that file ends; what is there by then is
not sealed again.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from backup.errors import SourceFailed
from backup.wal.names import archiving_order, is_wal_name
from backup.wal.segment_file import read_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from backup.keys.key import Key
    from backup.wal.archive import WalArchive
    from backup.wal.names import WalObject

_SECONDS: Final = 30.0  # then PostgreSQL has its turn, which asks again, or is to stop
_READY: Final = ".ready"


def is_ready(pg_wal: Path, wal: str) -> bool:
    """Whether PostgreSQL has a file that is to be archived, and has not seen it archived."""
    return (pg_wal / "archive_status" / f"{wal}{_READY}").exists()


def put_ahead(archive: WalArchive, asked: Path, keys: tuple[Key, Sequence[Key]]) -> Iterator[WalObject]:
    """Put at a target what comes after the file that is asked for, for half a minute; yield in order what is there.

    keys: who signs, to whom it is encrypted. Raises what stood in the way, which PostgreSQL will come to itself.
    """
    ends_at = time.monotonic() + _SECONDS
    later = _ready_after(asked)
    there = {each.wal: each for each in archive.objects(asked.name)} if later else {}
    for path in later:
        if time.monotonic() > ends_at:
            return
        yield there.get(path.name) or _put(archive, path, keys)


def _put(archive: WalArchive, path: Path, keys: tuple[Key, Sequence[Key]]) -> WalObject:
    file = read_file(path)
    return archive.put(path.name, file.content, file.written_at, *keys)


def _ready_after(asked: Path) -> list[Path]:
    """Return the files PostgreSQL has ready after one, in its order."""
    status = asked.parent / "archive_status"
    try:
        names = [path.name.removesuffix(_READY) for path in status.iterdir() if path.name.endswith(_READY)]
    except FileNotFoundError:  # a copy of a cluster's files
        return []
    except OSError as error:
        raise SourceFailed(f"{status} cannot be read: {error.strerror}") from error
    order = archiving_order(asked.name)
    later = sorted((name for name in names if is_wal_name(name) and archiving_order(name) > order), key=archiving_order)
    return [asked.with_name(name) for name in later]
