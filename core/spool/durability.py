"""What outlives a power cut: group fsync, and what is done when an fsync fails."""

from __future__ import annotations

import asyncio
import errno
import os
from typing import TYPE_CHECKING

from core.spool.disk import fsync_files, fsync_folder
from core.spool.faults import SpoolFault
from core.spool.group_commit import GroupCommit
from core.spool.position import Position

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from core.spool.segment import Segment
    from core.spool.shelf import Shelf
    from core.spool.unsynced import Unsynced


class Durability:
    """Makes the segments of a shelf durable.

    After a failed fsync Linux marks the pages clean, so that the next fsync "succeeds" although they never reached the
    disk (https://wiki.postgresql.org/wiki/Fsync_Errors). Files whose fsync failed are therefore closed and written
    anew, from what can still be read, before anything counts as durable again.
    """

    def __init__(self, shelf: Shelf, unsynced: Unsynced) -> None:
        self.syncs = 0
        self._shelf = shelf
        self._unsynced = unsynced
        self._durable = Position(0, 0)
        self._group = GroupCommit(self._commit)

    async def sync(self) -> Position:
        """Make everything appended so far durable, together with whoever else asks; return the durable end."""
        wanted = self._shelf.end
        await self._group.until(lambda: self._durable >= wanted)
        return self._durable

    def sync_now(self) -> None:
        """Make everything durable, blocking. Raises SpoolFault."""
        try:
            self._expect_none(_make_durable(self._shelf.suspects, self._dirty(), self._shelf.folder))
        except OSError as error:
            raise SpoolFault.during("fsync", self._shelf.folder, error) from error

    def _dirty(self) -> list[Segment]:
        return [segment for segment in self._shelf.segments if not segment.is_synced]

    def _expect_none(self, missing: Sequence[Path]) -> None:
        """Raise OSError when a file is missing that the spool did not delete itself."""
        for segment in self._shelf.segments:
            if segment.path in missing:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), segment.path)

    async def _commit(self) -> None:
        shelf = self._shelf
        end, began, dirty, suspects = shelf.end, self._unsynced.begin_sync(), self._dirty(), shelf.suspects.copy()
        for segment in dirty:
            segment.is_synced = True  # an append meanwhile says otherwise
        has_new_files, shelf.has_new_files = shelf.has_new_files, False
        folder = shelf.folder if has_new_files else None
        try:
            self._expect_none(await asyncio.to_thread(_make_durable, suspects, dirty, folder))
        except OSError as error:
            for segment in dirty:
                segment.is_synced = False
            shelf.suspect(dirty)
            shelf.has_new_files = has_new_files or shelf.has_new_files
            raise SpoolFault.during("fsync", shelf.folder, error) from error
        shelf.suspects = []
        for segment in [*dirty, *suspects]:
            if segment.is_synced and segment is not shelf.active:
                segment.release()
        shelf.delete_stored()
        self._unsynced.end_sync(began)
        self._durable = max(self._durable, end)
        self.syncs += 1


def _make_durable(suspects: Sequence[Segment], dirty: Sequence[Segment], folder: Path | None) -> list[Path]:
    for segment in suspects:
        segment.rewrite()
    missing = fsync_files([segment.path for segment in dirty])
    if folder is not None:
        fsync_folder(folder)
    return missing
