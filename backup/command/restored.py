"""How `bkp restore` tells what came back, and what is left to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from backup.command.binlog_telling import tell_command, tell_way, way_document
from backup.command.domain import tell_domain
from backup.command.mariadb_telling import tell_server
from backup.command.telling import instant, local, size
from backup.command.wal_telling import ready_document, tell_ready
from backup.spelling import shown
from core.model.counting import counted

if TYPE_CHECKING:
    from backup.binlog.recovery import Way
    from backup.restoring.restore import Restored
    from backup.wal.choice import Until
    from backup.wal.recovery import Ready


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one restore did. server, ready, loaded, defined: None where it was not of that kind.

    is_logged: binary logs were looked for; way: those that were found. not_kept: what is not as it was when it was
    saved. read: as of when the files are, in words.
    """

    made: Restored
    until: Until
    server: dict[str, Any] | None
    ready: Ready | None
    loaded: dict[str, Any] | None
    defined: dict[str, Any] | None
    is_logged: bool
    way: Way | None
    not_kept: tuple[str, ...]
    read: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """Return what programs are told."""
        made = self.made
        return {
            "at": instant(made.at),
            "to": shown(str(made.to)),
            "files": made.files,
            "bytes": made.bytes,
            "target": made.target,
            "database": self.loaded,
            "cluster": None if self.ready is None else ready_document(self.ready),
            "server": self.server,
            "domain": self.defined,
            "binlog": None if self.way is None else way_document(self.way, self.until.at),
            "not_kept": self.not_kept,
            "moments": list(self.read),
        }

    def tell(self) -> None:
        """Tell people."""
        made = self.made
        click.echo(
            f"Restored {counted(made.files, 'file')}, {size(made.bytes)}, as of {local(made.at)}: {shown(str(made.to))}"
        )
        for line in self.read:
            click.echo(f"  {line}")
        for lost in self.not_kept:
            click.echo(f"bkp: not as it was when it was saved: {lost}", err=True)
        if self.ready is not None:
            tell_ready(self.ready, self.until)
        if self.server is not None:
            tell_server(self.server)
            tell_command(self.way)
        if self.loaded is not None:
            self._tell_loaded(self.loaded)
        if self.is_logged:
            tell_way(self.way, self.until.at)
        tell_domain(self.defined)

    def _tell_loaded(self, loaded: dict[str, Any]) -> None:
        judged = "as many as were saved" if loaded["is_compared"] else "not compared: none were counted when saving"
        tables, rows = counted(loaded["tables"], "table"), counted(loaded["rows"], "row")
        click.echo(f"Loaded into the database: {tables}, {rows}, {judged}.")
        if self.way is not None:
            tables, rows = counted(loaded["tables_then"], "table"), counted(loaded["rows_then"], "row")
            click.echo(f"Replayed binary logs: now {tables}, {rows}.")
        if loaded.get("left_out_of_logs"):
            left_out = counted(loaded["left_out_of_logs"], "statement")
            click.echo(f"bkp: left out of the binary logs: {left_out} about accounts", err=True)
        for left in loaded.get("left_out", []):
            click.echo(f"bkp: left out, since it needs more than this table: {left}", err=True)
