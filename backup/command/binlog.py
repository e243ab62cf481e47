"""`bkp binlog`: archives the binary log of a MariaDB or a MySQL, and says how far the archive reaches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from backup.command.options import config_option, ending, json_option, reading_options, set_of, settings_of
from backup.command.shell.offers import sets_offered
from backup.command.telling import instant, local, size, write_json
from backup.station.station import open_station
from core.model.counting import counted

if TYPE_CHECKING:
    from pathlib import Path

    from backup.settings.document import BackupSettings

_ARCHIVE_EPILOG = """\b
Examples:
  bkp binlog archive shop
  */5 * * * * root bkp binlog archive shop    where no agent does it

The set names how often: mariadb.binary_logs = "5m" (or mysql, mariadb_base); the
agent keeps to it. The server's current log is closed when it holds anything, and
each closed one is fetched, looked through, encrypted, put at every target and
compared. Exit code 0: all that was committed before is safe.
"""
_GROUP_EPILOG = """\b
Examples:
  bkp binlog archive shop      what the agent does every binary_logs
  bkp binlog list web1/shop    from when to when it reaches, what is missing
  bkp restore web1/shop --at "today 14:05" --to /srv/dump --into-database DSN
"""


@click.group("binlog", epilog=_GROUP_EPILOG)
def binlog_group() -> None:
    """Archive a MariaDB's or MySQL's binary log, look at it."""


@binlog_group.command("archive", epilog=_ARCHIVE_EPILOG, short_help="Archive what the server wrote since last time.")
@click.argument("name", metavar="SET", shell_complete=sets_offered)
@config_option
@json_option
@ending
def archive_command(*, config: Path | None, name: str, as_json: bool) -> None:
    """Archive the binary logs of SET's server that are not in the archive yet."""
    from backup.binlog.archiving import archive_logs  # noqa: PLC0415 - only what is used is imported

    done = archive_logs(settings_of(config), name)
    if as_json:
        write_json({"logs": list(done.logs), "bytes": done.bytes, "line": done.line, "gap": done.gap,
                    "remarks": list(done.remarks)})  # fmt: skip
        return
    what = f"{counted(len(done.logs), 'binary log')}, {size(done.bytes)}: {', '.join(done.logs)}" if done.logs else ""
    click.echo(f"Archived {what}" if what else "Nothing was written since the last time: all of it is archived.")
    if done.gap is not None:
        click.echo(f"bkp: a gap: {done.gap}", err=True)


@binlog_group.command("list", short_help="Say how far the archived binary logs reach.")
@click.argument("name", metavar="SET", shell_complete=sets_offered)
@json_option
@reading_options
def list_command(*, settings: BackupSettings, name: str, as_json: bool) -> None:
    """Say from when to when the archived binary logs of SET reach, and what is missing."""
    from backup.binlog.reach import reaches_of  # noqa: PLC0415 - only what is used is imported

    with open_station(settings, set_of(settings, name)) as station:
        found = reaches_of(station)
    if as_json:
        write_json(
            [
                {
                    "line": each.line,
                    "first": str(each.first),
                    "last": str(each.last),
                    "logs": each.logs,
                    "bytes": each.size_bytes,
                    "from": instant(each.since),
                    "to": instant(each.until),
                    "missing": list(each.missing),
                }
                for each in found
            ]
        )
        return
    if not found:
        click.echo("No binary log is archived in this set.")
    for index, each in enumerate(found):
        if index:
            click.echo("  a gap: what follows is of another server, or of logs begun anew")
        click.echo(
            f"{each.first} to {each.last}: {counted(each.logs, 'log')}, {size(each.size_bytes)},"
            f" written {local(each.since)} to {local(each.until)}"
        )
        for missing in each.missing:
            click.echo(f"  missing: {missing}")
