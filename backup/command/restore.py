"""`bkp restore`: brings files, a database or a domain back."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from backup.binlog.recovery import bring_logs, is_logged, point_over
from backup.command.domain import define, demand_free_name, domain_options
from backup.command.forecast import foretell
from backup.command.instants import SAID, at_option
from backup.command.mariadb_telling import server_document
from backup.command.options import json_option, reading_options, set_of
from backup.command.restored import Outcome
from backup.command.shell.offers import sets_offered
from backup.command.telling import progress, write_json
from backup.errors import BackupError
from backup.loading.registry import demand_loadable, load_dump
from backup.restoring.restore import restore
from backup.restoring.wanted import Wanted, read_path
from backup.snapshots.record import moments
from backup.sources.files.survey import words_below
from backup.sources.mysql.mariadb_base import KIND as MARIADB_KIND
from backup.spelling import shown
from backup.station.station import open_station
from backup.wal.choice import Until
from backup.wal.names import read_lsn
from backup.wal.recovery import KIND as BASE_KIND
from backup.wal.recovery import make_ready, point_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backup.binlog.recovery import Way
    from backup.model import Manifest
    from backup.settings.document import BackupSettings
    from backup.station.station import Station
    from backup.when import When

_EPILOG = f"""\b
Examples:
  bkp restore files --to /srv/back                 everything, newest
  bkp restore files --path etc/hosts --to /tmp/back --at "yesterday 18:00"
  bkp restore files --path etc --to /tmp --dry-run    would it work?
  bkp restore web1/files --target /mnt/backup --key ./station --to /srv/back
  bkp restore cluster --at "today 14:05" --to /srv/pg    a PostgreSQL cluster
  bkp restore web1/db --to /srv/mariadb    a MariaDB server, ready to start
  bkp restore hyper1/mail --to /srv/vm/mail2 --domain mail2    a second domain

\b
Databases, DSN being postgresql://postgres@localhost/shop_back, or
"mariadb://root@localhost/shop_back?socket=/run/mysqld/mysqld.sock":
  bkp restore shop --to /srv/dump --into-database DSN
  bkp restore shop --to /srv/dump --into-database DSN --table public.orders

What is there already stays, unless --overwrite is given. As root, owners are restored too.
A file becomes FOLDER/NAME, a folder FOLDER/NAME/..., everything lies below FOLDER with its whole path.

{SAID}"""


def _position(context: click.Context, parameter: click.Parameter, text: str | None) -> int | None:
    try:
        return None if text is None else read_lsn(text)
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from error


def _name(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    if text is not None and (text in ("", ".", "..") or "/" in text or "\0" in text):
        raise click.BadParameter("expected a plain name; --to says where")
    return text


@click.command("restore", epilog=_EPILOG)
@click.argument("name", metavar="SET", shell_complete=sets_offered)
@click.option("--to", "to", required=True, type=click.Path(path_type=Path), metavar="FOLDER", help="Where to put it.")
@click.option("--path", default="", help="Only this file or folder, as `bkp ls` shows it.")
@at_option(
    "The newest restore point not after this; a cluster, and what has archived binary logs, as of this moment; else the"
    " newest."
)
@click.option("--lsn", metavar="LSN", callback=_position, help="A cluster's state at this position of its WAL.")
@click.option("--as", "new_name", metavar="NAME", callback=_name, help="What it is called in FOLDER; else as it was.")
@click.option("--dry-run", is_flag=True, help="Say what would come, from which files, and whether there is room.")
@click.option("--overwrite", is_flag=True, help="Replace files that are there; others in the folder stay.")
@click.option("--despite-room", is_flag=True, help="Begin though less is free than may come: a disk may compress.")
@click.option(
    "--into-database",
    "dsn",
    metavar="DSN",
    help="Load a dump and compare its rows with those saved: postgresql://… names an empty database, mariadb://… and"
    " mysql://… one that is not there yet.",
)
@click.option(
    "--table",
    "tables",
    metavar="NAME",
    multiple=True,
    help="With --into-database: only this table (PostgreSQL: SCHEMA.NAME), repeat it for more; the database may have"
    " others.",
)
@domain_options
@json_option
@reading_options
def restore_command(  # noqa: PLR0913 - one parameter an option
    *,
    settings: BackupSettings,
    name: str,
    to: Path,
    path: str,
    at: When | None,
    lsn: int | None,
    dsn: str | None,
    tables: tuple[str, ...],
    new_name: str | None,
    dry_run: bool,
    domain: str | None,
    connect: str,
    overwrite: bool,
    despite_room: bool,
    as_json: bool,
) -> None:
    """Restore SET (or HOST/SET), or one PATH of it, into FOLDER."""
    wanted = Wanted(
        path=read_path(path), to=to.absolute(), is_overwriting=overwrite, name=new_name, is_room_asked=not despite_room
    )
    _demand_sense(wanted, dsn=dsn, lsn=lsn, domain=domain, tables=tables)
    until = Until(at=None if at is None else at.at, lsn=lsn)
    if dry_run:
        fitting = partial(_demand_fitting, wanted=wanted, dsn=dsn, tables=tables)
        is_replaying = dsn is not None and not tables
        foretell(settings, name, at, until, wanted, fitting, is_replaying=is_replaying, as_json=as_json)
        return
    with open_station(settings, set_of(settings, name)) as station:
        catalogue = station.points()
        point = point_over(catalogue, point_for(catalogue, at, until), until)
        _demand_fitting(point.manifest, wanted, dsn, tables)
        demand_free_name(point.manifest, domain, connect)
        seconds = station.chosen.time_limit.total_seconds()
        is_whole = wanted.path is None
        is_server = point.manifest.source == MARIADB_KIND and is_whole
        has_logs = is_logged(point, until, is_loading=dsn is not None and not tables, is_whole=is_whole)
        with progress("restoring", is_shown=not as_json) as tell:
            made = restore(station, point, wanted, tell)
            is_cluster = point.manifest.source == BASE_KIND and is_whole
            ready = make_ready(station, point.manifest, made.to, until) if is_cluster else None
            way = bring_logs(station, point.manifest, made.to, until.at) if has_logs else None
        loaded = None if dsn is None else _load(station, point.manifest, made.to, dsn, tables, way)
        defined = define(point.manifest, made.to, domain, connect, seconds)
    outcome = Outcome(
        made=made,
        until=until,
        server=server_document(point.manifest, made.to) if is_server else None,
        ready=ready,
        loaded=loaded,
        defined=defined,
        is_logged=has_logs,
        way=way,
        not_kept=_not_kept(point.manifest, wanted),
        read=tuple(moments(point.manifest.consistency)),
    )
    if as_json:
        write_json(outcome.document())
    else:
        outcome.tell()


def _not_kept(manifest: Manifest, wanted: Wanted) -> tuple[str, ...]:
    """Return what of the restored files is not as it was when it was saved."""
    not_kept = tuple(str(each) for each in manifest.consistency.get("not_kept", ()))
    return not_kept if wanted.path is None else words_below(not_kept, wanted.path)


def _load(
    station: Station, manifest: Manifest, restored: Path, dsn: str, tables: Sequence[str], way: Way | None
) -> dict[str, Any]:
    try:
        return load_dump(manifest, restored, dsn, station.chosen.time_limit.total_seconds(), tables, way)
    except BackupError:
        click.echo(f"bkp: the dump itself was restored and stays: {shown(str(restored))}", err=True)
        raise


def _demand_fitting(manifest: Manifest, wanted: Wanted, dsn: str | None, tables: Sequence[str]) -> None:
    """Return when what is asked for can be done with what was saved; nothing was fetched yet."""
    if manifest.source in (BASE_KIND, MARIADB_KIND) and wanted.path is None and wanted.is_overwriting:
        raise click.UsageError("a server's files are not restored over another's: give --to an empty folder")
    if dsn is not None:
        demand_loadable(manifest, dsn, tables)


def _demand_sense(
    wanted: Wanted, *, dsn: str | None, lsn: int | None, domain: str | None, tables: tuple[str, ...]
) -> None:
    if dsn is not None and wanted.path is not None:
        raise click.UsageError("--into-database takes the whole dump: leave --path out")
    if tables and dsn is None:
        raise click.UsageError("--table says what to load: name the database with --into-database")
    if dsn is not None and lsn is not None:
        raise click.UsageError("--lsn is for a whole cluster, --into-database for the dump of one database")
    if domain is not None and wanted.path is not None:
        raise click.UsageError("--domain takes all of it: leave --path out")
