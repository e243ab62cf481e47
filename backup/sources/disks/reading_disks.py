"""Lays out what duplicity is to read of opened disks: whole images, or the changes of a run."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from backup.errors import SourceFailed
from backup.sources.disks.chain import Disk, lay_stand_ins, settle_folders, write_changes
from backup.sources.disks.nbd import as_file, dirty_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from backup.sources.disks.domain import DomainDisk
    from backup.sources.disks.domain_job import Opened


@contextmanager
def laid_out(
    scratch: Path, disks: Sequence[DomainDisk], opened: Opened, before: Mapping[str, Disk]
) -> Iterator[tuple[list[Disk], dict[str, Any], int]]:
    """Lay the disks out below `scratch`; yields them, what is read of each, and how many of `before` are read whole.

    A disk that is in `before` and whose bitmap says what changed comes as changes, any other as its image. Images can
    be read for as long as this lasts. Raises SourceFailed, TimedOut.
    """
    found: list[Disk] = []
    reading: dict[str, Any] = {}
    with ExitStack() as stack:
        for disk in disks:
            known, bitmap = before.get(disk.name), opened.bitmaps.get(disk.name)
            if known is not None and bitmap is not None:
                lay_stand_ins(scratch, known)
                made = _read_changes(scratch, known, opened.uris[disk.name], bitmap)
                size = made.changes[-1].data_bytes
                reading[disk.name] = {"how": "changes", "bytes": size}
            else:
                made = _show_image(stack, scratch, disk, opened.uris[disk.name])
                if known is not None and known.mtime == made.mtime:
                    raise SourceFailed("the clock was set back to the very second of the run before; try again")
                reading[disk.name] = {"how": "whole", "bytes": made.size_bytes}
            found.append(made)
        again = sum(1 for disk in found if disk.name in before and reading[disk.name]["how"] == "whole")
        settle_folders(scratch)
        yield found, reading, again


def _read_changes(scratch: Path, known: Disk, uri: str, bitmap: str) -> Disk:
    view = scratch / f"{known.name}.view"  # it is gone before duplicity looks
    view.touch(mode=0o600)
    with as_file(uri, view):
        made = write_changes(scratch, known, view, dirty_blocks(uri, bitmap))
    view.unlink()
    return made


def _show_image(stack: ExitStack, scratch: Path, disk: DomainDisk, uri: str) -> Disk:
    made = Disk(name=disk.name, source=str(disk.source), image=disk.format, size_bytes=0, mode=0, mtime=0)
    file = scratch / made.file
    file.parent.mkdir(exist_ok=True)
    file.touch(mode=0o600)
    stack.enter_context(as_file(uri, file))
    status = file.stat()
    return Disk(
        name=made.name,
        source=made.source,
        image=made.image,
        size_bytes=status.st_size,
        mode=status.st_mode & 0o7777,
        mtime=int(status.st_mtime),
    )
