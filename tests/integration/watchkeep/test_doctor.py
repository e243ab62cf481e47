"""`watchkeep doctor` against a real database in states a real installation gets into."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from server.store.lease import take
from server.store.migrate import migrate

if TYPE_CHECKING:
    from server.store.database import DatabaseOptions

CHECKOUT = Path(__file__).parents[3]
NOTICE = """
WITH t AS (INSERT INTO trigger (template, name) VALUES ('linux', 'busy') RETURNING id),
     h AS (INSERT INTO host (name) VALUES ('db1') RETURNING id),
     p AS (INSERT INTO problem (trigger_id, host_id, severity, name, opened_at)
           SELECT t.id, h.id, 'high', 'busy', now() FROM t, h RETURNING id),
     e AS (INSERT INTO event (problem_id, kind, at) SELECT id, 'opened', now() FROM p RETURNING id)
INSERT INTO outbox (key, event_id, receiver, media, payload, failed_at, last_error)
SELECT gen_random_uuid(), id, 'on-call', 'webhook', '{}', now(), 'HTTP 404' FROM e
"""
SOURCES = """
INSERT INTO source (uuid, name) VALUES (gen_random_uuid(), 'db1'), (gen_random_uuid(), 'web1');
INSERT INTO received (source_id, boot, heard_at) SELECT id, 1, now() - interval '1 hour' FROM source;
INSERT INTO received (source_id, boot) SELECT id, 2 FROM source WHERE name = 'db1';
"""


def examine(data: Path) -> tuple[int, dict[str, dict[str, Any]]]:
    """Run the command as a program would; return its exit code and the findings by check."""
    done = subprocess.run(
        [sys.executable, "-m", "watchkeep", "doctor", "--json", "--data", str(data)],
        cwd=CHECKOUT, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    return done.returncode, {check["check"]: check for check in json.loads(done.stdout)["checks"]}


def execute(options: DatabaseOptions, statement: str) -> None:
    with psycopg.connect(options.dsn, autocommit=True) as connection:
        connection.execute(statement)


async def test_an_empty_database_lacks_its_migrations_and_nothing_is_made(data: Path) -> None:
    for _ in range(2):
        code, found = examine(data)
        assert code == 2
        assert found["database"]["state"] == "ok"
        assert found["migrations"]["state"] == "failure"
        assert "0001_spine" in found["migrations"]["message"]
        assert found["sources heard"]["state"] == "unknown"


async def test_the_holder_of_the_lease_is_named(options: DatabaseOptions, data: Path) -> None:
    await migrate(options)
    _, before = examine(data)
    assert before["active server"]["state"] == "failure"
    assert await take(options, endpoint="tcp://127.0.0.1:1") is not None
    execute(options, "UPDATE lease_heartbeat SET at = now() + interval '1 minute'")  # it beats on
    _, after = examine(data)
    assert after["active server"]["state"] == "ok"
    assert "one, epoch 1" in after["active server"]["message"]
    assert after["migrations"]["state"] == "ok"
    assert after["clock"]["state"] == "ok"


async def test_only_the_newest_boot_of_a_source_says_when_it_was_heard(options: DatabaseOptions, data: Path) -> None:
    await migrate(options)
    execute(options, SOURCES)
    _, found = examine(data)
    assert found["sources heard"]["state"] == "warning"
    assert found["sources heard"]["message"] == "silent: web1 (60 min)"


async def test_a_notice_given_up_is_told_with_its_error(options: DatabaseOptions, data: Path) -> None:
    await migrate(options)
    execute(options, NOTICE)
    _, found = examine(data)
    assert found["notices"]["state"] == "failure"
    assert "on-call: HTTP 404" in found["notices"]["message"]


async def test_a_database_of_a_newer_version_is_not_touched_and_told(options: DatabaseOptions, data: Path) -> None:
    await migrate(options)
    execute(options, "INSERT INTO migration (number, name, checksum) VALUES (99, '0099_later', 'x')")
    code, found = examine(data)
    assert code == 2
    assert "0099_later" in found["migrations"]["message"]
    assert found["active server"]["state"] == "unknown"


async def test_a_definition_stored_by_another_version_is_named(options: DatabaseOptions, data: Path) -> None:
    await migrate(options)
    execute(
        options,
        "INSERT INTO definition (kind, name, body, revision, via, changed_by) "
        """VALUES ('host', 'db1', '{"kind": "host", "name": "db1", "colour": 1}', 1, 'file', 'somebody')""",
    )
    _, found = examine(data)
    assert found["definitions"]["state"] == "failure"
    assert "host db1" in found["definitions"]["message"]
