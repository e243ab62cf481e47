"""What is asked of a PostgreSQL database that came back: for provers of dumps and of base backups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from backup.errors import SourceFailed
from backup.loading.rows import differing_rows
from backup.proof.contract import MOST_NAMED, Check
from backup.sources.postgresql.dump import count_rows
from backup.sources.postgresql.psql import session
from core.model.counting import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from backup.proof.contract import Limits
    from backup.settings.source import PostgresqlSettings
    from backup.sources.postgresql.psql import Psql

_WORDS: Final = 200
_HAS_AMCHECK: Final = "SELECT count(*) FROM pg_available_extensions WHERE name = 'amcheck';"
# Each in a call of its own that turns an error into words, since amcheck says what is wrong with an index by failing.
_PREPARE: Final = """
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS amcheck;
CREATE FUNCTION pg_temp.wrong_in_index(given oid) RETURNS text LANGUAGE plpgsql AS $$
BEGIN PERFORM bt_index_check(given, true); RETURN ''; EXCEPTION WHEN OTHERS THEN RETURN SQLERRM; END $$;
CREATE FUNCTION pg_temp.wrong_in_table(given oid) RETURNS text LANGUAGE plpgsql AS $$
BEGIN RETURN coalesce((SELECT msg FROM verify_heapam(given) LIMIT 1), '');
EXCEPTION WHEN OTHERS THEN RETURN SQLERRM; END $$;
"""
_LOOK: Final = r"""
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname),
       regexp_replace(CASE WHEN c.relkind = 'i' THEN pg_temp.wrong_in_index(c.oid)
                           ELSE pg_temp.wrong_in_table(c.oid) END, '\s+', ' ', 'g')
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_index i ON i.indexrelid = c.oid
  LEFT JOIN pg_am a ON a.oid = c.relam
 WHERE c.relpersistence <> 't' AND n.nspname !~ '^pg_temp'
   AND (c.relkind IN ('r', 'm', 't') OR c.relkind = 'i' AND a.amname = 'btree' AND i.indisready AND i.indisvalid)
 ORDER BY 1;
"""


def check_rows(login: PostgresqlSettings, saved: Mapping[str, Any], limits: Limits) -> Check:
    """Count the rows of every table and hold them against those counted when the database was saved."""
    with session(login, limits.left_seconds("rows were counted")) as psql:
        found = count_rows(psql)
    wrong = differing_rows(saved, found)
    return Check(
        what=f"tables with {counted(sum(found.values()), 'row')} counted against the record",
        looked_at=len({*saved, *found}),
        differing=len(wrong),
        names=tuple(wrong[:MOST_NAMED]),
    )


def check_structures(login: PostgresqlSettings, limits: Limits) -> Check | None:
    """Look through tables and B-tree indexes with amcheck; None where this server does not have the extension."""
    with session(login, limits.left_seconds("tables were looked through")) as psql:
        if psql.ask(_HAS_AMCHECK) == [["0"]]:
            return None
        psql.ask(_PREPARE)
        found = psql.ask(_LOOK)
    wrong = [f"{name}: {words[:_WORDS]}" for name, words in found if words]
    return Check(
        what="relations looked through by amcheck",
        looked_at=len(found),
        differing=len(wrong),
        names=tuple(wrong[:MOST_NAMED]),
    )


def check_questions(login: PostgresqlSettings, questions: Sequence[str], limits: Limits) -> Check:
    """Ask what the set's owner wants to be true of it."""
    wrong = []
    for question in questions:
        with session(login, limits.left_seconds("the set's questions were asked")) as psql:
            try:
                answer = _ask(psql, question)
            except SourceFailed as error:
                answer = str(error)
        if answer != "t":
            wrong.append(f"{question:.{_WORDS}}: {answer:.{_WORDS}}")
    return Check(what="questions answered", looked_at=len(questions), differing=len(wrong), names=tuple(wrong))


def _ask(psql: Psql, question: str) -> str:
    psql.ask("SET default_transaction_read_only = on;")
    rows = psql.ask(question.rstrip().rstrip(";") + ";")
    return " ".join(rows[0]) if rows else "no row"
