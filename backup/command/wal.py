"""`bkp wal`: what PostgreSQL calls to archive its WAL and to get it back, and what the archive has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from backup.command.options import clearing, config_option, json_option, reading_options, set_of, settings_of
from backup.command.shell.offers import sets_offered
from backup.command.telling import instant, local, size, write_json
from backup.station.station import open_station
from core.model.counting import counted

if TYPE_CHECKING:
    from backup.settings.document import BackupSettings

_PUT_EPILOG = """\b
Example, in postgresql.conf of the cluster that the set saves:
  archive_mode = on
  archive_command = 'bkp wal put --config /etc/watchkeep/backup.toml shop %p'
  archive_timeout = 60        # what may be lost with the machine, in seconds

Run by the cluster's own user, who therefore needs to read the configuration, the host's keys and to write `work`.
Exit code 0: the file is at the target, read back and compared. Any other: PostgreSQL keeps it and asks again.
"""
_GET_EPILOG = """\b
Example, for a cluster that fetches by itself:
  restore_command = 'bkp wal get -c /etc/wk/station.toml web1/shop %f %p'

`bkp restore` brings the WAL along. Exit code 23: there is no such file, which PostgreSQL expects at the end of the WAL.
"""


_GROUP_EPILOG = """\b
Examples:
  bkp wal put cluster %p       what archive_command is (bkp wal put --help)
  bkp wal list web1/cluster    from when to when it reaches, what is missing
  bkp restore web1/cluster --at "today 14:05" --to /srv/pg
"""


@click.group("wal", epilog=_GROUP_EPILOG)
def wal_group() -> None:
    """Archive a PostgreSQL cluster's WAL, fetch it, look at it."""


@wal_group.command("put", epilog=_PUT_EPILOG, short_help="Archive a WAL file; for archive_command.")
@click.argument("name", metavar="SET", shell_complete=sets_offered)
@click.argument("path", type=click.Path(path_type=Path))
@config_option
@clearing
def put_command(*, config: Path | None, name: str, path: Path) -> None:
    """Archive the WAL file at PATH: encrypted, signed, compared at the target. For archive_command."""
    from backup.wal.putting import put_wal  # noqa: PLC0415 - only what is used is imported

    put_wal(settings_of(config), name, path)


@wal_group.command("get", epilog=_GET_EPILOG, short_help="Fetch a WAL file; for restore_command.")
@click.argument("name", metavar="SET", shell_complete=sets_offered)
@click.argument("wal", metavar="FILE")
@click.argument("to", type=click.Path(dir_okay=False, path_type=Path))
@reading_options
def get_command(*, settings: BackupSettings, name: str, wal: str, to: Path) -> None:
    """Fetch the WAL file called FILE to the path TO. For restore_command."""
    from backup.wal.names import is_wal_name  # noqa: PLC0415 - only what is used is imported
    from backup.wal.recovery import fetch_one  # noqa: PLC0415

    if not is_wal_name(wal):
        raise click.UsageError(f"{wal!r} is no name of a WAL file: expected PostgreSQL's %f")
    with open_station(settings, set_of(settings, name)) as station:
        fetch_one(station, wal, to)


@wal_group.command("list", short_help="Say how far the archived WAL reaches.")
@click.argument("name", metavar="SET", shell_complete=sets_offered)
@json_option
@reading_options
def list_command(*, settings: BackupSettings, name: str, as_json: bool) -> None:
    """Say from when to when the archived WAL of SET reaches, and what is missing in it."""
    from backup.wal.reach import reaches_of  # noqa: PLC0415 - only what is used is imported

    with open_station(settings, set_of(settings, name)) as station:
        found = reaches_of(station)
    if as_json:
        write_json(
            [
                {
                    "system_identifier": each.system_identifier,
                    "first": each.first,
                    "last": each.last,
                    "segments": each.segments,
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
        click.echo("No WAL is archived in this set.")
    for each in found:
        click.echo(
            f"{each.first} to {each.last}: {counted(each.segments, 'segment')}, {size(each.size_bytes)},"
            f" written {local(each.since)} to {local(each.until)}"
        )
        for missing in each.missing:
            click.echo(f"  missing: {missing}")
