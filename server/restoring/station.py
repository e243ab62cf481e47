"""Restorations asked for over the API: begun, watched, kept for an hour in a scratch folder, thrown away."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from core.runtime.logging import Log
from server.restoring.program import BackupProgram, TooBusy

if TYPE_CHECKING:
    from core.runtime.clock import Clock

log = Log("restoring")

LOOK_SECONDS: Final = 60.0
READ_SECONDS: Final = 80.0
RESTORE_SECONDS: Final = 3600.0
KEPT_SECONDS: Final = 3600.0
FAILED_KEPT_SECONDS: Final = 600.0
REMIND_SECONDS: Final = 600.0
MOST_KEPT: Final = 20
MOST_BYTES: Final = 4 << 30
_WATCH_SECONDS: Final = 0.5

State = Literal["running", "done", "failed"]


@dataclass(slots=True, kw_only=True)
class Restoration:
    """One file on its way back. `file` is there once `state` is done."""

    id: str
    host: str
    set: str
    path: str
    user: str
    state: State = "running"
    size_bytes: int | None = None
    error: str | None = None
    file: Path | None = None
    task: asyncio.Task[None] | None = field(default=None, repr=False)


class RestoreStation:
    """Restores single files with the restore station's `bkp`; closing it ends everything and empties the folder."""

    def __init__(self, config: Path, scratch: Path, clock: Clock) -> None:
        """`scratch` is emptied: nothing of an earlier life is of use to anybody."""
        self.program = BackupProgram(config)
        self._scratch = scratch
        self._clock = clock
        self._kept: dict[str, Restoration] = {}
        self._reminders: tuple[str, ...] = ()
        self._looked_at = float("-inf")
        self._looking: asyncio.Task[None] | None = None
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(mode=0o700, parents=True, exist_ok=True)

    def begin(self, *, host: str, set_name: str, path: str, at: str, user: str) -> Restoration:
        """Begin to restore a file as it was at an instant (ISO 8601). Raises TooBusy when too many are kept already."""
        if len(self._kept) >= MOST_KEPT:
            raise TooBusy
        made = Restoration(
            id=secrets.token_urlsafe(16),
            host=host,
            set=set_name,
            path=path,
            user=user,
        )
        self._kept[made.id] = made
        made.task = asyncio.create_task(self._see_to(made, at), name=f"restoration {made.id}")
        return made

    def find(self, identity: str) -> Restoration | None:
        """Return a restoration that is still kept."""
        return self._kept.get(identity)

    def reminders(self) -> tuple[str, ...]:
        """Return what `bkp doctor` found to be done at the station when it last looked; never waits.

        It looks again when asked, at most every ten minutes: an escrow sheet not known to be safe, a key that expires.
        """
        now = self._clock.monotonic()
        if now - self._looked_at > REMIND_SECONDS and (self._looking is None or self._looking.done()):
            self._looked_at = now
            self._looking = asyncio.create_task(self._look(), name="restore station")
        return self._reminders

    async def _look(self) -> None:
        try:
            answered = await self.program.call("doctor", [], limit_seconds=LOOK_SECONDS)
        except (TooBusy, OSError, TimeoutError) as error:
            log.warning("the restore station could not be looked at", error=error)
            return
        findings = answered.document.get("findings", [])
        told = [f"{each['what']}: {each['text']}" for each in findings if each["level"] != "ok"]
        self._reminders = tuple(told) if findings else (f"restore station: {answered.error}",)

    async def close(self) -> None:
        """End what runs and throw everything away."""
        tasks = [each.task for each in self._kept.values() if each.task is not None]
        if self._looking is not None:
            tasks.append(self._looking)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._kept.clear()
        await asyncio.to_thread(shutil.rmtree, self._scratch, ignore_errors=True)

    async def _see_to(self, made: Restoration, at: str) -> None:
        """Restore, keep what came for its time, and throw it away, whether or not anybody asks for it again."""
        try:
            await self._restore(made, at)
        except Exception as error:  # noqa: BLE001 - the supervisor of one restoration: it must not seem to run for ever
            log.crash("a restoration failed by a bug", error, host=made.host, set=made.set)
            made.state, made.error = "failed", "a bug of Watchkeep's: the server's log has it"
        await self._clock.sleep(KEPT_SECONDS if made.state == "done" else FAILED_KEPT_SECONDS)
        del self._kept[made.id]
        await asyncio.to_thread(shutil.rmtree, self._scratch / made.id, ignore_errors=True)

    async def _restore(self, made: Restoration, at: str) -> None:
        folder = self._scratch / made.id
        try:
            folder.mkdir(mode=0o700)  # there before bkp begins, which then drafts within it, where its size is seen
            async with asyncio.TaskGroup() as tasks:
                watcher = tasks.create_task(self._watch_size(folder))
                answered = await self.program.call(
                    "restore",
                    [f"--path={made.path}", f"--at={at}", f"--to={folder}"],
                    f"{made.host}/{made.set}",
                    limit_seconds=RESTORE_SECONDS,
                )
                watcher.cancel()
            if answered.exit_code == 0:
                file, size_bytes = confine(folder, str(answered.document.get("to", "")))
                if size_bytes > MOST_BYTES:  # it was faster than the watcher, or has holes
                    raise _TooLarge  # noqa: TRY301 - one place says in words what went wrong
                made.file, made.size_bytes = file, size_bytes
                made.state = "done"
                return
            made.error = answered.error
        except* (TooBusy, _TooLarge, NotAFileError, OSError, TimeoutError) as group:
            made.error = _words(group.exceptions[0])
        made.state = "failed"
        log.warning("a restoration failed", host=made.host, set=made.set, error=made.error)
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _watch_size(self, folder: Path) -> None:
        """Raise _TooLarge when the folder outgrows what one restoration may take."""
        while True:
            await self._clock.sleep(_WATCH_SECONDS)
            if await asyncio.to_thread(_size, folder) > MOST_BYTES:
                raise _TooLarge


class _TooLarge(Exception):
    """A restoration takes more room than one may."""


class NotAFileError(Exception):
    """What came back is no single file that could be handed out; the text says what it is."""


def confine(folder: Path, found: str) -> tuple[Path, int]:
    """Return the restored file and its bytes if it is a plain file directly in `folder`. Raises NotAFileError.

    A backup may hold links to anywhere: none is followed.
    """
    file = Path(found)
    if file.parent != folder or file.name in ("", ".", ".."):
        raise NotAFileError("bkp restored it to another place than it was told")
    mode = os.lstat(file)
    if not stat.S_ISREG(mode.st_mode):
        kind = "a folder" if stat.S_ISDIR(mode.st_mode) else "a link" if stat.S_ISLNK(mode.st_mode) else "no plain file"
        raise NotAFileError(f"it is {kind}: restore it on a machine with `bkp restore`")
    return file, mode.st_size


def _size(folder: Path) -> int:
    size = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                size += os.lstat(os.path.join(parent, name)).st_blocks * 512  # noqa: PTH118 - many files, often
            except OSError:
                continue
    return size


def _words(error: BaseException) -> str:
    if isinstance(error, TooBusy):
        return "too many restorations are under way: try again later"
    if isinstance(error, TimeoutError):
        return f"it took longer than {RESTORE_SECONDS:g} s: restore it with `bkp restore`"
    if isinstance(error, _TooLarge):
        return f"it is larger than {MOST_BYTES >> 30} GiB: restore it with `bkp restore`"
    return str(error)
