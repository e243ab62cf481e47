"""How what a server writes between two runs is archived: a cluster's WAL, the binary log of a MariaDB or a MySQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from probes.declaration import Item, Reading
from probes.state_files import distance_seconds, instant

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

_INTERVALS: Final = 3.0
"""One may be under way, and one have failed for once."""


def _item(key: str, unit: str, description: str, kind: str = "number") -> Item:
    return Item(key=f"backup.{key}", unit=unit, description=description, parameter="set", type=kind)


ARCHIVES: Final = (
    _item("wal_age_seconds", "s", "How long ago the last WAL file of a cluster was archived"),
    _item("wal_failing_seconds", "s", "For how long archiving a cluster's WAL has failed; 0 when it works"),
    _item("binlog_age_seconds", "s", "How long ago all that a server had in its binary log was archived"),
    _item("binlog_late_seconds", "s", "How much longer ago that is than three times its interval; 0: it is not"),
    _item("binlog_failing_seconds", "s", "For how long archiving the binary log has failed; 0 when it works"),
    _item(
        "archive_error",
        "",
        "Why not all WAL or binary logs are archived, and how far each target is; empty when all are",
        "text",
    ),
    _item("binlog_gap", "", "1 while no restore point goes on into the newest archived binary logs; else 0"),
)


def archive_readings(name: str, state: Mapping[str, Any], now: datetime) -> Iterator[Reading]:
    """Yield how the archives of a set stand; nothing of one it has not."""
    wal, binlog = state.get("wal") or {}, state.get("binlog") or {}
    if wal.get("archived_at"):
        age = distance_seconds(instant(wal["archived_at"]), now)
        yield Reading("backup.wal_age_seconds", age, name)
    if wal:
        yield Reading("backup.wal_failing_seconds", _failing(wal, now), name)
    if wal or binlog:
        yield Reading("backup.archive_error", str(wal.get("error") or binlog.get("error") or ""), name)
    if not binlog:
        return
    failing = _failing(binlog, now)
    age = failing
    if binlog.get("archived_at"):
        age = distance_seconds(instant(binlog["archived_at"]), now)
        yield Reading("backup.binlog_age_seconds", age, name)
    late = age - _INTERVALS * float(binlog.get("interval_seconds") or 0.0)
    yield Reading("backup.binlog_late_seconds", max(0.0, late), name)
    yield Reading("backup.binlog_failing_seconds", failing, name)
    yield Reading("backup.binlog_gap", float(bool(binlog.get("gap"))), name)


def _failing(archive: Mapping[str, Any], now: datetime) -> float:
    since = archive.get("failing_since")
    return 0.0 if since is None else distance_seconds(instant(since), now)
