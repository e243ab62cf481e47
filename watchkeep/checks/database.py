"""The database: reachable, of this version's form, with the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from watchkeep.checks.verdict import failure, fine, unknown, warning
from watchkeep.checks.wording import count, names, size, span

if TYPE_CHECKING:
    from watchkeep.checks.subject import Subject
    from watchkeep.checks.verdict import Verdict

SKEW_SECONDS: Final = 1.0
MUCH_SKEW_SECONDS: Final = 30.0


def check_reachable(subject: Subject) -> Verdict:
    """It takes our connection and answers."""
    check = "database"
    if subject.installation is None:
        return unknown(check, "without installation.json nobody knows where it is")
    found = subject.diagnosis
    if found is None:
        return failure(check, subject.database_fault, _remedy_when_away(subject))
    timescale = f" with TimescaleDB {found.timescale_version}" if found.timescale_version else ""
    return fine(check, f"PostgreSQL {found.server_version}{timescale}, {size(found.size_bytes)}")


def check_migrations(subject: Subject) -> Verdict:
    """Its tables are those of this version."""
    check = "migrations"
    found = subject.diagnosis
    if found is None:
        return unknown(check, "the database cannot be asked")
    if found.migration_fault:
        return failure(check, found.migration_fault, "run the version of Watchkeep that the database belongs to")
    if found.missing_migrations:
        message = f"{count(len(found.missing_migrations), 'migration')} missing: {names(found.missing_migrations)}"
        return failure(check, message, "start the server of this version: it applies them")
    return fine(check, "current")


def check_clock(subject: Subject) -> Verdict:
    """Both machines, ours and the database's, agree about the time."""
    check = "clock"
    if subject.diagnosis is None:
        return unknown(check, "the database cannot be asked")
    skew = subject.diagnosis.skew_seconds
    ahead = "ahead of" if skew > 0 else "behind"
    message = f"{span(abs(skew))} {ahead} the database's"
    remedy = "let both machines follow a time server (chrony, systemd-timesyncd)"
    if abs(skew) > MUCH_SKEW_SECONDS:
        return failure(check, message, remedy)
    return warning(check, message, remedy) if abs(skew) > SKEW_SECONDS else fine(check, "the database's agrees")


def check_quarantine(subject: Subject) -> Verdict:
    """No record had to be put aside."""
    check = "quarantine"
    if subject.diagnosis is None or subject.diagnosis.ledger is None:
        return unknown(check, "the database cannot be asked")
    records = subject.diagnosis.ledger.quarantined_records
    if records:
        return warning(
            check,
            f"{count(records, 'record')} could not be stored and {'was' if records == 1 else 'were'} put aside",
            "look at them: SELECT source, boot, number, reason, stored_at FROM quarantine",
        )
    return fine(check, "empty")


def _remedy_when_away(subject: Subject) -> str:
    embedded = subject.data / "postgres"
    if embedded.is_dir():
        return f"start Watchkeep: watchkeep up --data {subject.data}; the database's log is in {embedded / 'logs'}"
    return "is it running, and does it let this machine in? Its address is `dsn` in installation.json"
