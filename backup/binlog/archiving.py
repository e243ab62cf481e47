"""Archives a server's binary logs: closed, fetched, looked through, at each of the set's targets, compared, then noted.

Each target gets every log as soon as it can: one that was away gets what it missed afterwards, in order, and keeps none
from the others. A failure loses nothing as long as the server keeps its logs: the next time goes on where the last one
ended, at each target.
"""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from backup.binlog.archive import BinlogArchive, Fetched
from backup.binlog.continuing import Last
from backup.binlog.log_file import look_through
from backup.binlog.planning import Planning
from backup.binlog.server import binlog_of, server_of
from backup.binlog.standings import Standings
from backup.errors import BackupDamaged, BackupError, Cancelled, SourceFailed, TimedOut, WorkFailed
from backup.keys.ring import KeyRing
from backup.model import Place
from backup.runtime.durable import hold_lock
from backup.runtime.private_folder import private_folder
from backup.runtime.signals import cancelled_by_signals
from backup.saving.archive_opening import open_for_archive
from core.model.counting import counted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta
    from pathlib import Path

    from backup.binlog.server import Listed, Situation
    from backup.keys.key import Key
    from backup.settings.backup_set import SetSettings
    from backup.settings.document import BackupSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Archived:
    """What one archiving did. gap: why restores cannot go across a place in the archive; None without one."""

    logs: tuple[str, ...]
    bytes: int
    line: str | None
    gap: str | None
    remarks: tuple[str, ...]


def archive_logs(settings: BackupSettings, set_name: str) -> Archived:
    """Archive what the server wrote since the last time. Raises the BackupError that says why not, once it is noted."""
    chosen = settings.find_set(set_name)
    _, _, every = binlog_of(chosen)
    with (
        hold_lock(settings.work / set_name / "binlog.lock", f"the archive of binary logs of set {set_name!r}"),
        cancelled_by_signals(),
    ):
        archiving = _Archiving(settings, chosen, every)
        try:
            return archiving.run()
        except Cancelled:
            raise
        except OSError as error:
            failure = WorkFailed(f"this machine's disk is in the way: {error}")
            archiving.fail(failure)
            raise failure from error
        except BackupError as error:
            archiving.fail(error)
            raise


class _Archiving:
    """One archiving of one set."""

    def __init__(self, settings: BackupSettings, chosen: SetSettings, every: timedelta) -> None:
        self._settings, self._chosen = settings, chosen
        self._server = server_of(chosen)
        self._standings = Standings(settings, chosen.name, chosen.targets, every)
        self._wanted: dict[str, list[Listed]] = {}
        self._failures: dict[str, BackupError] = {}
        self._asked: set[str] = set()
        self._done: dict[Listed, None] = {}
        self._began_at, self._ends = datetime.now(UTC), time.monotonic() + every.total_seconds()

    def fail(self, error: BackupError) -> None:
        """Write down that those that still lack something got it not; a disk that cannot take that, `error` is of."""
        with suppress(OSError, BackupError):
            for name in self._chosen.targets:
                if name not in self._failures and self._wanted.get(name, True):
                    self._fail(name, error)

    def run(self) -> Archived:
        """Do it."""
        situation = self._server.look()
        listed = self._server.logs()
        if self._server.holds_something(listed[-1]):
            self._server.close_log()
            listed = self._server.logs()
        planning = Planning(self._settings, self._chosen, situation.identity, listed)
        for name in self._chosen.targets:
            self._standings.put(name, planning.judge(name, self._standings[name]))
        for name in self._chosen.targets:
            try:
                standing, self._wanted[name] = planning.lacking(name, self._standings[name])
            except Cancelled:
                raise
            except BackupError as error:
                self._fail(name, error)
                continue
            self._standings.put(name, standing)
            if not self._wanted[name]:
                self._standings.finish(name, self._began_at)
        self._standings.remark(situation.remarks)
        if any(self._wanted.values()):
            self._archive(situation)
        for failure in self._failures.values():
            raise failure
        table = self._standings.table
        return Archived(
            logs=tuple(str(each.log) for each in self._done), bytes=sum(each.size_bytes for each in self._done),
            line=table["line"], gap=table["gap"], remarks=situation.remarks,
        )  # fmt: skip

    def _archive(self, situation: Situation) -> None:
        """Archive log after log, each noted when it is safe: first where the least is lacking, then where more is."""
        keys = self._settings.keys
        work = self._settings.work / self._chosen.name
        with KeyRing(keys.host, keys.host_passphrase_file) as ring, private_folder(work, "binlog-") as folder:
            ring.demand_no_decryption_key()
            now = datetime.now(UTC)
            signing = ring, ring.signing_key(now), ring.recipients(keys.recipients, now)
            least = min(len(left) for left in self._wanted.values())
            late = {name for name, left in self._wanted.items() if len(left) > least}
            while pending := {name: left for name, left in self._wanted.items() if left and name not in self._failures}:
                first = min(pending, key=lambda name: len(pending[name]))
                each = pending[first][0]
                takers = [name for name, left in pending.items() if left[0] == each and self._answers(name, ring)]
                if takers:
                    self._put(each, takers, signing, situation.identity, folder)
                if first in late and time.monotonic() > self._ends:
                    self._leave_for_later()

    def _leave_for_later(self) -> None:
        """Let who still lacks something wait for the next archiving: it begins in time with what the server wrote."""
        for name, left in self._wanted.items():
            if left and name not in self._failures:
                self._fail(
                    name,
                    TimedOut(
                        f"target {name!r}: it gets what it missed, from one archiving to the next; still to come:"
                        f" {counted(len(left), 'log')}"
                    ),
                )

    def _answers(self, name: str, ring: KeyRing) -> bool:
        """Whether a target answers that failed the last time, before a log is fetched for it; of others nobody asks."""
        if name in self._asked or self._standings[name].failing_since is None:
            return True
        self._asked.add(name)
        try:
            with open_for_archive(self._settings, name, self._chosen.name) as target:
                BinlogArchive(target, self._place, ring).lines()
        except Cancelled:
            raise
        except BackupError as error:
            self._fail(name, error)
            return False
        return True

    def _put(
        self,
        each: Listed,
        takers: Sequence[str],
        signing: tuple[KeyRing, Key, Sequence[Key]],
        identity: str,
        folder: Path,
    ) -> None:
        """Fetch a log and put it at the targets that lack it as their next."""
        ring, signer, recipients = signing
        fetched = self._fetch(each, folder)
        facts = fetched.facts
        lines = self._standings.lines(takers, fetched)
        for name in takers:
            try:
                with open_for_archive(self._settings, name, self._chosen.name) as target:
                    BinlogArchive(target, self._place, ring).put(lines[name], fetched, signer, recipients)
            except Cancelled:
                raise
            except BackupError as error:
                self._fail(name, error)
                continue
            last = Last(
                line=lines[name], log=each.log, size_bytes=each.size_bytes, identity=identity, gtids=facts.gtids_after
            )
            self._standings.advance(name, last, facts.until)
            self._done[each] = None
            del self._wanted[name][0]
            if not self._wanted[name]:
                self._standings.finish(name, self._began_at)
        fetched.path.unlink()
        for name in takers:
            left = self._wanted[name]
            if name not in self._failures and left and facts.next_log not in (None, str(left[0].log)):
                raise SourceFailed(f"{each.log} says that {facts.next_log} comes after it: whose logs are these?")

    def _fetch(self, each: Listed, folder: Path) -> Fetched:
        """Fetch a log and look through it. Raises SourceFailed when it is not whole."""
        free = shutil.disk_usage(folder).free
        if each.size_bytes > free:
            raise WorkFailed(
                f"{each.log} has {each.size_bytes >> 20} MiB, but {folder.parent} has {free >> 20} MiB free: set `work`"
                " to a larger disk, or max_binlog_size of the server lower"
            )
        path = self._server.fetch(each.log, folder)
        try:
            facts = look_through(path)
        except BackupDamaged as error:
            raise SourceFailed(f"what the server sent is no whole log: {error}") from error
        if facts.size_bytes != each.size_bytes:
            raise SourceFailed(
                f"the server sent {facts.size_bytes} bytes of {each.log}, which it says has {each.size_bytes}"
            )
        return Fetched(log=each.log, path=path, facts=facts)

    def _fail(self, name: str, error: BackupError) -> None:
        self._failures[name] = error
        self._standings.fail(name, error)

    @property
    def _place(self) -> Place:
        return Place(host=self._settings.host_of(self._chosen), set=self._chosen.name)
