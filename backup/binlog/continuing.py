"""Whether a server's binary logs go on where its archive ends, and which of them are to be archived: pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from backup.binlog.names import read_log_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from backup.binlog.log_file import Facts
    from backup.binlog.names import LogName
    from backup.binlog.server import Listed


@dataclass(frozen=True, slots=True, kw_only=True)
class Last:
    """The log that was archived last, its line, and what is known of its server.

    gtids: MariaDB's transactions up to its end; empty of others.
    """

    line: str
    log: LogName
    size_bytes: int
    identity: str
    gtids: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A place in the archive no restore goes across. why: None where there is none. found_at: when that was seen."""

    why: str | None
    found_at: datetime | None

    @property
    def notes(self) -> Mapping[str, Any]:
        """What is written down of it."""
        return {"gap": self.why, "gap_found_at": None if self.found_at is None else self.found_at.isoformat()}


NO_GAP: Final = Gap(why=None, found_at=None)


def standing_gap(notes: Mapping[str, Any], last_good: Mapping[str, Any]) -> Gap:
    """Return the gap that was noted, as long as no good run was begun after it was found: its point lies beyond it."""
    if not notes.get("gap"):
        return NO_GAP
    found_at, started_at = _instant(notes.get("gap_found_at")), _instant(last_good.get("started_at"))
    if found_at is not None and started_at is not None and started_at > found_at:
        return NO_GAP
    return Gap(why=str(notes["gap"]), found_at=found_at)


def _instant(text: Any) -> datetime | None:
    return None if not text else datetime.fromisoformat(str(text))


def read_last(notes: Mapping[str, Any] | None) -> Last | None:
    """Return the log the notes name; None when they name none."""
    if notes is None or not notes.get("line"):
        return None
    log = read_log_name(str(notes.get("archived")))
    size = notes.get("size_bytes")
    if log is None or not isinstance(size, int):
        return None
    return Last(
        line=str(notes["line"]), log=log, size_bytes=size, identity=str(notes.get("identity")),
        gtids=str(notes.get("gtids") or ""),
    )  # fmt: skip


def doubt(last: Last, identity: str, listed: Sequence[Listed]) -> str | None:
    """Return why a server's logs do not go on from the last archived one; None when they do.

    listed: all logs of the server, oldest first, the one being written among them.
    """
    if identity != last.identity:
        return f"another server answers: it was {last.identity}, now it is {identity}"
    sizes = {each.log: each.size_bytes for each in listed}
    known = sizes.get(last.log)
    if known is not None and known != last.size_bytes:
        return f"the server has another {last.log} than was archived: its logs were begun anew (RESET MASTER)"
    if known is None and last.log.next not in sizes:
        later = [each.log for each in listed if each.log.base == last.log.base and each.log.number > last.log.number]
        if later:
            return f"{last.log.next} was purged before it was archived: the server's oldest is {later[0]}"
        return f"the server has no log that follows {last.log}: its logs were begun anew, or are called otherwise"
    rest = [each.log for each in listed if each.log.base == last.log.base and each.log.number > last.log.number]
    return _hole(last.log, rest)


def _hole(before: LogName, rest: Sequence[LogName]) -> str | None:
    for log in rest:
        if log != before.next:
            return f"{before.next} is missing at the server, which has {log}"
        before = log
    return None


def following(last: Last, closed: Sequence[Listed]) -> list[Listed]:
    """Return the closed logs that come after the last archived one."""
    return [each for each in closed if each.log.base == last.log.base and each.log.number > last.log.number]


def beginning(needed: LogName | None, closed: Sequence[Listed]) -> list[Listed]:
    """Return the closed logs a new line begins with: from the one the newest restore point needs on, else the last.

    Of those only what follows the newest hole is of one line.
    """
    there = [each for each in closed if needed is not None and each.log.base == needed.base]
    wanted = [each for each in there if needed is not None and each.log.number >= needed.number] or list(closed[-1:])
    start = 0
    for index in range(1, len(wanted)):
        if wanted[index].log != wanted[index - 1].log.next:
            start = index
    return wanted[start:]


def break_between(gtids: str, log: LogName, facts: Facts) -> str | None:
    """Return why a fetched log does not go on from transactions `gtids` (empty: not known); None when it does."""
    if not gtids or facts.gtids_before == gtids:
        return None
    return (
        f"{log} begins after the transactions {facts.gtids_before or 'none'}, the log archived before it ended with"
        f" {gtids}: the server's logs were begun anew (RESET MASTER)"
    )
