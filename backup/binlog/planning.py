"""What a target lacks of a server's logs: what follows the last one it has, or what a new line begins with there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from backup.binlog.continuing import NO_GAP, beginning, doubt, following, standing_gap
from backup.binlog.names import read_log_name
from backup.catalogue import read_catalogue
from backup.errors import BackupError, Cancelled
from backup.keys.ring import KeyRing
from backup.model import Place
from backup.saving.archive_notes import read_table
from backup.targets.registry import open_target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from backup.binlog.names import LogName
    from backup.binlog.server import Listed
    from backup.binlog.standing import Standing
    from backup.settings.backup_set import SetSettings
    from backup.settings.document import BackupSettings


class Planning:
    """What the targets of a set lack, of a server that has these logs, the last of which is being written."""

    def __init__(self, settings: BackupSettings, chosen: SetSettings, identity: str, listed: Sequence[Listed]) -> None:
        self._settings, self._chosen = settings, chosen
        self._identity, self._listed = identity, listed
        self._places: dict[str, LogName | None] = {}

    def judge(self, target: str, standing: Standing) -> Standing:
        """Return how a target stands before this server: where its line ends there, why. Asks no target."""
        for run in self._runs_of(target):
            standing = replace(standing, gap=standing_gap(standing.gap.notes, run))
        why = None if standing.last is None else doubt(standing.last, self._identity, self._listed)
        # Noted at once, also of a target that is away: later the server may have logs of the same names and sizes.
        return standing if why is None else replace(standing.broken(why), last=None)

    def lacking(self, target: str, standing: Standing) -> tuple[Standing, list[Listed]]:
        """Return the closed logs a judged target lacks, in order. Raises what a target raises that has to be asked."""
        closed = self._listed[:-1]
        if standing.last is not None:
            return standing, following(standing.last, closed)
        needed = self._needed(target)
        names = {each.log for each in self._listed}
        there = [log for log in needed if log in names]
        if needed and not there and standing.gap == NO_GAP:
            standing = standing.broken(f"the newest restore point needs {needed[0]}, which the server has no more")
        return standing, beginning(min(there or needed, key=lambda log: log.number, default=None), closed)

    def _runs_of(self, target: str) -> list[Mapping[str, Any]]:
        """Return the newest run that is good at every target and, while others are away, the one that is good here."""
        state = read_table(self._settings.state / f"{self._chosen.name}.json") or {}
        good, last = state.get("last_good") or {}, state.get("last_run") or {}
        missing = last.get("missing_at") or ()
        return [good, last] if missing and target not in missing else [good]

    def _needed(self, target: str) -> list[LogName]:
        """Return the logs that the newest restore points are in, at this target and at those it may get some of."""
        own = self._place_of(target)
        found = [own]
        for other in self._chosen.targets:
            try:
                found.append(self._place_of(other))
            except Cancelled:
                raise
            except BackupError:
                if own is None:  # then nothing tells where to begin, and waiting loses nothing
                    raise
        return [log for log in found if log is not None]

    def _place_of(self, target: str) -> LogName | None:
        """Return the log the newest restore point at a target is in; None where there is no such point."""
        if target not in self._places:
            with (
                KeyRing(self._settings.keys.host, self._settings.keys.host_passphrase_file) as ring,
                open_target(self._settings.find_target(target)) as opened,
            ):
                place = Place(host=self._settings.host_of(self._chosen), set=self._chosen.name)
                points = read_catalogue(opened, place, ring).whole
            newest = points[-1].manifest.consistency if points else {}
            self._places[target] = read_log_name(str(newest.get("binlog_file")))
        return self._places[target]
