"""Brings a restore point, or one path of it, back to this machine's disk: whole, or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from backup.errors import Cancelled, DestinationInUse, NotInBackup
from backup.restoring.fetching import Fetching, fetch
from backup.restoring.growth import watched
from backup.restoring.machines import demand_path, holds_disks, put_together
from backup.restoring.station import scratch_workplace
from backup.retention.marks import reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from backup.engine.progress import Progress
    from backup.model import RestorePoint
    from backup.restoring.station import Station

_MOST_DEPTH: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to restore, and where to. `path` is relative to the set's root; None: everything.

    to: a folder; a path is put into it under its own name, or everything as `name`. is_overwriting: files that are
    there already are replaced (others stay); without it the place must not hold what is restored.
    """

    path: PurePosixPath | None
    to: Path
    is_overwriting: bool = False
    name: str | None = None

    @property
    def final(self) -> Path:
        """Where it is afterwards."""
        last = self.name or (None if self.path is None else self.path.name)
        return self.to if last is None else self.to / last


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What was brought back. `to` is the file or folder it is now. entries: how many duplicity brought below it."""

    at: datetime
    to: Path
    files: int
    bytes: int
    entries: int


def read_path(text: str) -> PurePosixPath | None:
    """Return a path in a backup as duplicity wants it: relative, without "." and "..". None for the whole set.

    Raises NotInBackup for what can be in no backup.
    """
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in text or len(parts) > _MOST_DEPTH:
        raise NotInBackup(f"{text!r} is no path in a backup: it must lead down from the set's root")
    return PurePosixPath(*parts) if parts else None


def restore(
    station: Station, point: RestorePoint, wanted: Wanted, on_progress: Callable[[Progress], None] | None = None
) -> Restored:
    """Restore `wanted` as it was at `point`, with owners (as root), modes and times. Blocks; hours are possible.

    Nothing is seen at the place before all of it is there; a failure leaves the place as it was. Raises
    DestinationInUse, NotInBackup, and what keys, target and duplicity raise. Cancelled says what is at the place then.
    """
    manifest = point.manifest
    station.demand_decryption(manifest)
    if wanted.path is not None:
        demand_path(manifest, wanted.path)
    final = wanted.final
    if not wanted.is_overwriting:
        demand_free(final)
    expected = manifest.counts.bytes if wanted.path is None else None
    is_putting = False
    try:
        with (
            reading(station, [manifest], "restored"),
            _draft_beside(wanted.to) as draft,
            scratch_workplace(station.settings) as workplace,
        ):
            limit = station.chosen.time_limit.total_seconds()
            with watched(draft, expected, on_progress):
                fetch(Fetching(station, point, workplace, limit), wanted.path, draft / "restored", on_progress)
            made = draft / "restored"
            entries = sum(1 for _ in made.rglob("*"))
            if holds_disks(manifest) and wanted.path is None:
                put_together(manifest, made)
            files, size = measure(made)
            is_putting = True
            _put(made, final, is_overwriting=wanted.is_overwriting)
    except Cancelled as error:
        left = f"{final} is as it was: nothing was put there"
        if is_putting:
            left = f"some of it may be at {final} already: restore again with --overwrite"
        raise Cancelled(f"{error}; {left}", is_asked_for=error.is_asked_for) from error
    return Restored(at=point.at, to=final, files=files, bytes=size, entries=entries)


def measure(top: Path) -> tuple[int, int]:
    """Return how many files, links and other things that are no folders lie at or below `top`, and their bytes."""
    if top.is_symlink() or not top.is_dir():
        return 1, top.lstat().st_size
    files = size = 0
    for folder, _, names in os.walk(top):
        for name in names:
            files += 1
            size += os.lstat(os.path.join(folder, name)).st_size  # noqa: PTH118 - 100,000 Path objects cost seconds
    return files, size


def demand_free(final: Path) -> None:
    """Raise DestinationInUse when something lies at `final`; an empty folder is no hindrance."""
    try:
        is_used = os.path.lexists(final) and not (
            final.is_dir() and not final.is_symlink() and not any(final.iterdir())
        )
    except OSError as error:
        raise DestinationInUse(f"{final} cannot be looked into: {error.strerror}") from error
    if is_used:
        raise DestinationInUse(
            f"{final} is there already: restore to another folder with --to, or replace files with --overwrite"
        )


@contextlib.contextmanager
def _draft_beside(to: Path) -> Iterator[Path]:
    """A private folder on the file system of `to`; what is left in it goes at the end."""
    existing = to.absolute()
    while not existing.is_dir():
        existing = existing.parent
    try:
        draft = Path(tempfile.mkdtemp(prefix=".bkp-restoring-", dir=existing))
    except OSError as error:
        raise DestinationInUse(f"{existing} cannot be written ({error.strerror}): choose another --to") from error
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _put(made: Path, final: Path, *, is_overwriting: bool) -> None:
    """Move what was made to its place; with `is_overwriting` folders are merged and files replaced, one by one."""
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(final):
            made.rename(final)
            return
        if final.is_dir() and not final.is_symlink() and not any(final.iterdir()) and made.is_dir():
            final.rmdir()
            made.rename(final)
            return
        if not is_overwriting:
            raise DestinationInUse(f"{final} came into being meanwhile: it was left alone")
        _merge(made, final)
    except OSError as error:
        raise DestinationInUse(f"{error.filename or final} cannot be put in place: {error.strerror}") from error


def _merge(made: Path, final: Path) -> None:
    """Put `made` over `final`. A folder is never replaced by a file, nor a file by a folder."""
    if made.is_symlink() or not made.is_dir():
        if final.is_dir() and not final.is_symlink():
            raise DestinationInUse(f"{final} is a folder, and a file was saved: move it away first")
        made.replace(final)
        return
    if not final.is_dir() or final.is_symlink():
        raise DestinationInUse(f"{final} is no folder, and a folder was saved: move it away first")
    for entry in sorted(made.iterdir()):
        there = final / entry.name
        if os.path.lexists(there):
            _merge(entry, there)
        else:
            entry.rename(there)
    status = made.stat()
    final.chmod(status.st_mode & 0o7777)
    if os.geteuid() == 0:
        os.chown(final, status.st_uid, status.st_gid)
    os.utime(final, ns=(status.st_atime_ns, status.st_mtime_ns))
