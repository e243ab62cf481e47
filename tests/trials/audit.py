"""Who wrote what in which reign: triggers of the trial's own in the database, judged by commit time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg.conninfo import make_conninfo

if TYPE_CHECKING:
    from tests.trials.stack import Stack

_FENCED_TABLES: Final = ("history_batch", "history", "received", "problem", "event", "outbox", "quarantine", "trends")
# Statement triggers, so that an ingest transaction costs a row a table; the rows commit with what they note.
_INSTALL: Final = """
CREATE SCHEMA trial;
CREATE TABLE trial.writes (epoch bigint NOT NULL, name text NOT NULL);
CREATE TABLE trial.reigns (epoch bigint NOT NULL);
CREATE FUNCTION trial.note_write() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF current_setting('application_name') ~ '^watchkeep/[^/]*/[0-9]{1,18}$' THEN
        INSERT INTO trial.writes
        VALUES (split_part(current_setting('application_name'), '/', 3)::bigint, TG_TABLE_NAME);
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION trial.note_reign() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO trial.reigns VALUES (NEW.epoch);
    RETURN NULL;
END $$;
CREATE TRIGGER trial_reign AFTER UPDATE ON lease FOR EACH ROW WHEN (NEW.epoch > OLD.epoch)
    EXECUTE FUNCTION trial.note_reign();
"""
_WATCH: Final = """
CREATE TRIGGER trial_write AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH STATEMENT
    EXECUTE FUNCTION trial.note_write();
"""
_WRITES: Final = "SELECT count(*) FROM trial.writes"
_OLD_WRITES: Final = """
SELECT count(*) FROM trial.writes w JOIN trial.reigns r ON r.epoch = w.epoch + 1
WHERE pg_xact_commit_timestamp(w.xmin) > pg_xact_commit_timestamp(r.xmin)
"""


_REIGNS: Final = """
SELECT epoch, name = 'history_batch', extract(epoch FROM min(pg_xact_commit_timestamp(xmin)))::float8,
       extract(epoch FROM max(pg_xact_commit_timestamp(xmin)))::float8
FROM trial.writes GROUP BY 1, 2 ORDER BY 1
"""
_REPEATED: Final = "SELECT count(*) - count(DISTINCT epoch) FROM trial.reigns"


@dataclass(frozen=True, kw_only=True)
class Committed:
    """What a reign committed, first and last, in seconds since 1970; `first_values` and `last_values`: of samples."""

    epoch: int
    first: float
    last: float
    first_values: float | None
    last_values: float | None


class Audit:
    """Counts writes by servers whose epoch was over when they committed."""

    def __init__(self, stack: Stack) -> None:
        """Install the triggers; this takes table locks for a moment."""
        self._stack = stack
        with psycopg.connect(self._superuser_dsn, autocommit=True) as connection:
            connection.execute("SET lock_timeout = '60s'")
            connection.execute(_INSTALL.encode())
            for table in _FENCED_TABLES:
                connection.execute(_WATCH.format(table=table).encode())

    @property
    def _superuser_dsn(self) -> str:
        return make_conninfo(self._stack.postgres.superuser_dsn, dbname="watchkeep")

    def writes(self) -> int:
        """Return how many writes of reigns were seen at all."""
        return self._count(_WRITES)

    def old_writes(self) -> int:
        """Return how many writes were committed under an epoch after the next one had begun."""
        return self._count(_OLD_WRITES)

    def reigns(self) -> list[Committed]:
        """Return what each reign committed, by epoch; a reign that wrote nothing is left out."""
        found: dict[int, list[tuple[bool, float, float]]] = {}
        with psycopg.connect(self._superuser_dsn, autocommit=True) as connection:
            for epoch, is_values, first, last in connection.execute(_REIGNS.encode()):
                found.setdefault(epoch, []).append((is_values, first, last))
        return [
            Committed(
                epoch=epoch,
                first=min(first for _, first, _ in rows),
                last=max(last for _, _, last in rows),
                first_values=min((first for is_values, first, _ in rows if is_values), default=None),
                last_values=max((last for is_values, _, last in rows if is_values), default=None),
            )
            for epoch, rows in sorted(found.items())
        ]

    def overlaps(self) -> int:
        """Return how many reigns committed anything after a later reign had committed its first."""
        reigns = self.reigns()
        return sum(
            1 for place, one in enumerate(reigns) if any(later.first <= one.last for later in reigns[place + 1 :])
        )

    def repeated_epochs(self) -> int:
        """Return how many epochs were given out more than once."""
        return self._count(_REPEATED)

    def write_as(self, epoch: int) -> None:
        """Write without a fence as a server of `epoch` would: shows that `old_writes` notices."""
        dsn = make_conninfo(self._stack.dsn, application_name=f"watchkeep/nobody/{epoch}")
        with psycopg.connect(dsn) as connection:
            connection.execute("UPDATE received SET heard_at = heard_at WHERE false")

    def _count(self, statement: str) -> int:
        with psycopg.connect(self._superuser_dsn, autocommit=True) as connection:
            row = connection.execute(statement.encode()).fetchone()
            assert row is not None
            return int(row[0])
