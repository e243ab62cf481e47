"""The segment files of a spool, oldest first, and the books over all of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from core.model.record import RecordError
from core.runtime.logging import Log
from core.spool.faults import SpoolFault
from core.spool.position import Position
from core.spool.scan import between
from core.spool.segment import FILE_NAME, START, Segment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from core.model.ranges import NumberRange
    from core.spool.position import Damage, Key
    from core.spool.scan import Contents, Scan

Result = TypeVar("Result")
log = Log("spool")


class Shelf:
    """Only the last segment, `active`, is appended to.

    Invariants: `holders[key]` are exactly the segments whose `held` has the key, in order; a segment other than the
    active one is deleted as soon as it holds nothing.
    """

    def __init__(self, folder: Path, segment_bytes: int) -> None:
        self.folder = folder
        self.segments: list[Segment] = []
        self.holders: dict[Key, list[Segment]] = {}
        self.active: Segment | None = None
        self.suspects: list[Segment] = []
        self.damages: list[Damage] = []
        self.damaged_records = 0
        self.held_bytes = 0
        self.held_records = 0
        self.has_new_files = False
        self._segment_bytes = segment_bytes
        self._next_number = 1

    def load(self) -> None:
        """Take in the files an earlier process left. Raises OSError."""
        for leftover in self.folder.glob("*.segment.new"):
            leftover.unlink()
        previous: tuple[Segment, Scan] | None = None
        for path in sorted(p for p in self.folder.iterdir() if FILE_NAME.fullmatch(p.name)):
            segment, scan, damages = Segment.load(path)
            if previous is not None and segment.number == previous[0].number + 1:
                self._name_missing_between(previous[1], scan, damages)
            self._note_damages(damages)
            self._next_number = segment.number + 1
            previous = segment, scan
            if segment.is_stored:
                segment.delete()
                continue
            self.segments.append(segment)
            self.held_bytes += segment.file_bytes
            self.held_records += segment.held_records
            for key in segment.held:
                self.holders.setdefault(key, []).append(segment)

    @property
    def end(self) -> Position:
        """The place after the newest record."""
        if self.active is not None:
            return Position(self.active.number, self.active.end)
        return Position(self._next_number, START)

    @property
    def oldest(self) -> Segment | None:
        """The first segment that holds something."""
        return next((segment for segment in self.segments if segment.held), None)

    def append(self, records: bytes, contents: Contents) -> None:
        """Write records at the end of the active segment or of a new one. Raises OSError: nothing was appended."""
        if self.active is not None and self.active.file_bytes + len(records) > self._segment_bytes:
            self.seal()
        if self.active is None:
            self.active = Segment.create(self.folder, self._next_number)
            self._next_number += 1
            self.segments.append(self.active)
            self.held_bytes += self.active.file_bytes
            self.has_new_files = True
        self.held_records += self.active.append(records, contents)
        self.held_bytes += len(records)
        for source, boot, _, _ in contents.runs:
            holders = self.holders.setdefault((source, boot), [])
            if not holders or holders[-1] is not self.active:
                holders.append(self.active)

    def seal(self) -> None:
        """Close the active segment; the next append begins a new one."""
        if self.active is None:
            return
        segment, self.active = self.active, None
        if segment.is_synced:
            segment.release()
        if segment.is_stored:
            self._remove(segment)

    def mark_stored(self, key: Key, ranges: Iterable[NumberRange]) -> None:
        """Note that records are stored; delete what holds nothing any more."""
        for segment in self.holders.get(key, []).copy():
            self.held_records -= segment.mark_stored(key, ranges)
            self.settle(segment, [key])

    def settle(self, segment: Segment, keys: Iterable[Key]) -> None:
        """Bring the books in line after `segment` stopped holding some of `keys`; delete it when it holds nothing."""
        for key in keys:
            if key in segment.held:
                continue
            holders = self.holders.get(key, [])
            if segment in holders:
                holders.remove(segment)
            if not holders:
                self.holders.pop(key, None)
        if segment.is_stored and segment is not self.active:
            self._remove(segment)

    def compact(self, segment: Segment) -> None:
        """Drop the samples of a closed segment. Raises OSError or RecordError, and then nothing changed."""
        if segment not in self.segments:
            return
        keys, records, size = list(segment.held), segment.held_records, segment.file_bytes
        segment.compact()
        self.held_records -= records - segment.held_records
        self.held_bytes -= size - segment.file_bytes
        self.settle(segment, keys)

    def discard(self, segment: Segment) -> None:
        """Delete a closed segment whatever it holds."""
        keys = list(segment.held)
        self.held_records -= segment.held_records
        segment.held = {}
        segment.taken = {}
        self.settle(segment, keys)

    def suspect(self, segments: Iterable[Segment]) -> None:
        """Note files whose fsync failed: closed, kept, and written anew before anything counts as durable."""
        for segment in segments:
            if segment is self.active:
                self.seal()
            if segment in self.segments and segment not in self.suspects:
                self.suspects.append(segment)

    def delete_stored(self) -> None:
        """Delete closed segments that hold nothing: those a running fsync had kept."""
        for segment in [s for s in self.segments if s.is_stored and s is not self.active]:
            self._remove(segment)

    def reading(self, segment: Segment, action: Callable[[], Result]) -> Result:
        """Do what reads `segment`; when that fails, find out what of it is left and do it once more.

        Raises SpoolFault when it fails again.
        """
        try:
            return action()
        except (OSError, RecordError) as error:
            log.warning("A segment cannot be read as it was written", file=segment.path, error=error)
        try:
            self._rescan(segment)
            return action()
        except OSError as error:
            raise SpoolFault.during("read what is held", self.folder, error) from error
        except RecordError as error:
            raise SpoolFault(f"the spool {self.folder} changes while it is read: {error}") from error

    def _rescan(self, segment: Segment) -> None:
        if segment is self.active:
            self.seal()
        keys = list(segment.held)
        damages, gone = segment.rescan()
        self.held_records -= gone
        self._note_damages(damages)
        self.settle(segment, keys)

    def _remove(self, segment: Segment) -> None:
        if segment in self.suspects or segment not in self.segments:
            return
        try:
            segment.delete()
        except OSError as error:  # its records are sent once more after a restart; the server knows them
            log.warning("A segment cannot be deleted", file=segment.path, error=error)
        self.segments.remove(segment)
        self.held_bytes -= segment.file_bytes

    def _note_damages(self, damages: list[Damage]) -> None:
        for damage in damages:
            self.damages.append(damage)
            self.damaged_records += damage.records
            log.error(
                "A spool file is damaged; what lay there is skipped",
                file=self.folder / damage.file,
                offset=damage.offset,
                bytes=damage.bytes,
                reason=damage.reason,
            )

    def _name_missing_between(self, before: Scan, after: Scan, damages: list[Damage]) -> None:
        """Name the numbers that lay in a damaged end of one file or in a damaged beginning of the next."""
        missing = between(before.last, after.first)
        if not missing:
            return
        if after.is_head_damaged:
            damages[0] = replace(damages[0], missing=missing)
        elif before.is_tail_damaged and self.damages:
            self.damaged_records -= self.damages[-1].records
            self.damages[-1] = replace(self.damages[-1], missing=missing)
            self.damaged_records += self.damages[-1].records
