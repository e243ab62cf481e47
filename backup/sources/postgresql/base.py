"""A whole PostgreSQL cluster as a source: a base backup, to which archived WAL adds every later moment.

The plain format lets duplicity compare file by file; the WAL of the backup itself comes with it, so that each restore
point comes up on its own, archive or not.
"""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from backup.errors import SourceFailed
from backup.runtime.child import Program, run
from backup.settings.source import PostgresqlSettings
from backup.sources.contract import Prepared
from backup.sources.postgresql.psql import client_environment, client_program, session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backup.settings.source import PostgresqlBaseSettings

CLUSTER_FOLDER: Final = "cluster"
RECORD_FILE: Final = "consistency.json"
MANIFEST_FILE: Final = "backup_manifest"
_ASKING_SECONDS: Final = 60.0
_WORDS: Final = 600
_SITUATION: Final = """
SELECT system_identifier, current_setting('server_version'), pg_size_bytes(current_setting('wal_segment_size')),
       current_setting('archive_mode'), current_setting('config_file'), current_setting('data_directory'),
       (SELECT coalesce(string_agg(spcname, ', '), '') FROM pg_tablespace WHERE pg_tablespace_location(oid) <> ''),
       (SELECT rolname FROM pg_roles WHERE oid = 10), current_setting('port')::int  -- the role that initdb made
  FROM pg_control_system();
"""


class PostgresqlBaseSource:
    """Copies a cluster while it works. Its role needs REPLICATION and pg_read_all_settings, or is the superuser."""

    kind = "postgresql-base"

    def __init__(self, settings: PostgresqlBaseSettings, time_limit_seconds: float) -> None:
        self._settings = PostgresqlSettings(
            database="postgres",
            host=settings.host,
            port=settings.port,
            user=settings.user,
            passfile=settings.passfile,
            binaries=settings.binaries,
        )
        self._time_limit_seconds = time_limit_seconds

    @contextmanager
    def prepare(self, scratch: Path) -> Iterator[Prepared]:
        """Copy the cluster into `scratch`, which takes as much room as the cluster itself."""
        began = time.monotonic()
        record: dict[str, Any] = {"taken_at": datetime.now(UTC).isoformat()}
        self._describe(record)
        self._copy(scratch / CLUSTER_FOLDER)
        record["copied_seconds"] = round(time.monotonic() - began, 3)
        record |= _wal_range(scratch / CLUSTER_FOLDER / MANIFEST_FILE)
        (scratch / RECORD_FILE).write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        remarks = []
        if record["archive_mode"] == "off":
            remarks.append(
                "the cluster's WAL is not archived (archive_mode = off): only the moments of its base backups come back"
            )
        covers = {"engine": "postgresql", "port": record["server_port"], "is_whole": True}
        yield Prepared(root=scratch, consistency=record, covers=covers, remarks=tuple(remarks))

    def _describe(self, record: dict[str, Any]) -> None:
        with session(self._settings, _ASKING_SECONDS) as psql:
            rows = psql.ask(_SITUATION)
        if len(rows) != 1 or len(rows[0]) != 9:
            raise SourceFailed("the server's answer about itself cannot be understood")
        system, version, segment_bytes, archive_mode, config_file, folder, tablespaces, superuser, port = rows[0]
        if tablespaces:
            raise SourceFailed(f"tablespaces outside of the cluster's folder cannot be saved yet: {tablespaces}")
        record |= {
            "system_identifier": system,
            "server_version": version,
            "server_port": int(port),
            "wal_segment_bytes": int(segment_bytes),
            "archive_mode": archive_mode,
            "superuser": superuser,
            "config_outside": not config_file.startswith(f"{folder}/"),  # Debian's, in /etc: it is not in the backup
        }

    def _copy(self, folder: Path) -> None:
        arguments = [
            client_program(self._settings, "pg_basebackup"),
            f"--pgdata={folder}",
            "--format=plain",
            "--wal-method=stream",
            "--checkpoint=fast",
            "--manifest-checksums=SHA256",
            "--label=watchkeep",
            "--no-password",
            "--no-sync",  # it is read again at once, and gone afterwards
        ]
        program = Program(
            arguments=arguments, environment=client_environment(self._settings), doing="copying the cluster"
        )
        try:
            ended = run(program, time_limit_seconds=self._time_limit_seconds)
        except OSError as error:
            raise SourceFailed(f"pg_basebackup cannot be started: {error.strerror}") from error
        if ended.exit_code != 0:
            words = " ".join(ended.words.split())[-_WORDS:]
            raise SourceFailed(f"pg_basebackup ended with exit code {ended.exit_code}: {words or 'without a word'}")


def _wal_range(manifest: Path) -> dict[str, Any]:
    """Return timeline, first and last WAL position of a base backup, from its own manifest."""
    try:
        ranges = json.loads(manifest.read_text(encoding="utf-8"))["WAL-Ranges"]
        last = max(ranges, key=lambda each: int(each["Timeline"]))
        first = min(ranges, key=lambda each: int(each["Timeline"]))
        return {
            "timeline": int(first["Timeline"]),
            "start_lsn": str(first["Start-LSN"]),
            "stop_lsn": str(last["End-LSN"]),
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceFailed(f"the base backup has no manifest that can be understood: {error}") from error
