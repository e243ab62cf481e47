"""How far each target of a set is with its binary logs: written down at every step, so that a kill loses none."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from backup.binlog.continuing import break_between
from backup.binlog.standing import Begun, read_standing
from backup.model import instant_name, read_instant
from backup.saving.archive_notes import ArchiveNotes
from backup.saving.archive_standing import least_far, stands_of, together, told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backup.binlog.archive import Fetched
    from backup.binlog.continuing import Last
    from backup.binlog.standing import Standing
    from backup.errors import BackupError
    from backup.settings.document import BackupSettings

KIND: Final = "binlog"


class Standings:
    """The targets of a set. Raises OSError, WorkFailed where the notes cannot be written."""

    def __init__(self, settings: BackupSettings, set_name: str, targets: tuple[str, ...], every: timedelta) -> None:
        self._notes, self._every = ArchiveNotes(settings, set_name, KIND), every
        self._each = {name: read_standing(table) for name, table in stands_of(self._notes.read(), targets).items()}

    def __getitem__(self, target: str) -> Standing:
        return self._each[target]

    def put(self, target: str, standing: Standing) -> None:
        """Have a target stand so from now on."""
        if standing != self._each[target]:
            self._each[target] = standing
            self._note()

    def advance(self, target: str, last: Last, until: datetime) -> None:
        """A log was compared at a target, whose last event was `until`."""
        fresh = replace(self._each[target], last=last, begun=None, written_at=until.isoformat(), archived_at=_now())
        self.put(target, fresh)

    def finish(self, target: str, as_of: datetime) -> None:
        """A target has all that the server had written then."""
        self.put(
            target,
            replace(
                self._each[target],
                written_at=as_of.isoformat(),
                archived_at=_now(),
                failing_since=None,
                error=None,
            ),
        )

    def fail(self, target: str, error: BackupError) -> None:
        """A target could not be given what it lacks; since when is since it had all."""
        since = self._each[target].failing_since or _now()
        self.put(target, replace(self._each[target], failing_since=since, error=str(error)))

    def lines(self, targets: Sequence[str], fetched: Fetched) -> dict[str, str]:
        """Return the line each target gets a log in; a new one is noted first, so that it is begun only once."""
        found: dict[str, str] = {}
        fresh: str | None = None
        for name in targets:
            standing = self._each[name]
            last = standing.last
            why = None if last is None else break_between(last.gtids, fetched.log, fetched.facts)
            if last is not None and why is None:
                found[name] = last.line
                continue
            fresh = standing.begun_line(fetched.log, fetched.facts.digest) or fresh or self._new_line()
            found[name] = fresh
            begun = Begun(line=fresh, log=str(fetched.log), digest=fetched.facts.digest)
            self.put(name, replace(standing if why is None else standing.broken(why), begun=begun))
        return found

    def remark(self, remarks: Sequence[str]) -> None:
        """Write down what is to be said of the server."""
        self._notes.note({"remarks": list(remarks)})

    @property
    def table(self) -> dict[str, Any]:
        """What is told of all of them, and of each."""
        tables = {name: standing.table for name, standing in self._each.items()}
        gap = together({name: standing.gap.why for name, standing in self._each.items()})
        return {**told(tables), "line": least_far(tables)["line"], "gap": gap}

    def _new_line(self) -> str:
        """Return the name of a new line, later than every one before."""
        before = str((self._notes.read() or {}).get("newest_line") or "")
        now = datetime.now(UTC)
        at = max(now, read_instant(before) + timedelta(seconds=1)) if before else now
        self._notes.note({"newest_line": instant_name(at)})
        return instant_name(at)

    def _note(self) -> None:
        self._notes.note({**self.table, "interval_seconds": self._every.total_seconds()})


def _now() -> str:
    return datetime.now(UTC).isoformat()
