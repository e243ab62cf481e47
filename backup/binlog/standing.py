"""How far the archive of binary logs is at one target of a set, as it stands in the notes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from backup.binlog.continuing import NO_GAP, Gap, read_last, standing_gap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backup.binlog.continuing import Last
    from backup.binlog.names import LogName

_REMEDY: Final = "Make a restore point (bkp run): those before need not go on into what is archived now"


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A log with which a new line was begun, which may not have come to its end. digest: the whole log's SHA-256."""

    line: str
    log: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far one target is.

    last: the newest log that was compared there; None where a line has to be begun. written_at: up to when it has all
    that was written; archived_at: when that was so (both ISO 8601). gap: of the archive there.
    """

    last: Last | None = None
    written_at: str | None = None
    archived_at: str | None = None
    gap: Gap = NO_GAP
    failing_since: str | None = None
    error: str | None = None
    begun: Begun | None = None

    def begun_line(self, log: LogName, digest: str) -> str | None:
        """Return the line that was begun with this very log; None when none was."""
        begun = self.begun
        return begun.line if begun is not None and (begun.log, begun.digest) == (str(log), digest) else None

    def broken(self, why: str) -> Standing:
        """Return it with a gap that was found now."""
        return replace(self, gap=Gap(why=f"{why}. {_REMEDY}", found_at=datetime.now(UTC)))

    @property
    def table(self) -> dict[str, Any]:
        """It as a table of the notes."""
        last = self.last
        begun = self.begun
        return {
            "line": None if last is None else last.line,
            "archived": None if last is None else str(last.log),
            "size_bytes": None if last is None else last.size_bytes,
            "identity": None if last is None else last.identity,
            "gtids": None if last is None else last.gtids,
            "written_at": self.written_at,
            "archived_at": self.archived_at,
            **self.gap.notes,
            "failing_since": self.failing_since,
            "error": self.error,
            "begun": None if begun is None else {"line": begun.line, "log": begun.log, "digest": begun.digest},
        }


def read_standing(table: Mapping[str, Any]) -> Standing:
    """Return how a table of the notes says a target stands."""
    begun = table.get("begun")
    return Standing(
        last=read_last(table),
        written_at=table.get("written_at"),
        archived_at=table.get("archived_at"),
        gap=standing_gap(table, {}),
        failing_since=table.get("failing_since"),
        error=table.get("error"),
        begun=Begun(line=str(begun["line"]), log=str(begun["log"]), digest=str(begun["digest"])) if begun else None,
    )
