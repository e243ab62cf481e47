"""`bkp restore`: brings files, a database or a domain back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from backup.command.domain import define, demand_free_name, domain_options, tell_domain
from backup.command.forecast import foretell
from backup.command.instants import SAID, at_option
from backup.command.mariadb_telling import server_document, tell_server
from backup.command.offers import sets_offered
from backup.command.options import json_option, reading_options, set_of
from backup.command.telling import counted, instant, local, progress, size, write_json
from backup.command.wal_telling import ready_document, tell_ready
from backup.loading.registry import demand_loadable, load_dump
from backup.restoring.restore import restore
from backup.restoring.station import open_station
from backup.restoring.wanted import Wanted, read_path
from backup.snapshots.record import moments
from backup.sources.mariadb_base import KIND as MARIADB_KIND
from backup.sources.survey import words_below
from backup.spelling import shown
from backup.wal.choice import Until
from backup.wal.names import read_lsn
from backup.wal.recovery import KIND as BASE_KIND
from backup.wal.recovery import make_ready, point_for

if TYPE_CHECKING:
    from backup.model import Manifest
    from backup.settings.document import BackupSettings
    from backup.wal.recovery import Ready
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
@at_option("The newest restore point not after this, a cluster as of this moment; else the newest.")
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
    help="With --into-database: only this table (PostgreSQL: SCHEMA.NAME); the database may have others.",
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
        foretell(settings, name, at, until, wanted, as_json=as_json)
        return
    loaded: dict[str, Any] | None = None
    ready: Ready | None = None
    with open_station(settings, set_of(settings, name)) as station:
        point = point_for(station.points(), at, until)
        is_cluster = point.manifest.source == BASE_KIND and wanted.path is None
        is_server = point.manifest.source == MARIADB_KIND and wanted.path is None
        _demand_fitting(point.manifest, wanted, dsn)
        demand_free_name(point.manifest, domain, connect)
        with progress("restoring", is_shown=not as_json) as tell:
            made = restore(station, point, wanted, tell)
            if is_cluster:
                ready = make_ready(station, point.manifest, made.to, until)
        if dsn is not None:
            loaded = load_dump(point.manifest, made.to, dsn, station.chosen.time_limit.total_seconds(), tables)
        defined = define(point.manifest, made.to, domain, connect, station.chosen.time_limit.total_seconds())
    server = server_document(point.manifest, made.to) if is_server else None
    read = list(moments(point.manifest.consistency))
    not_kept = tuple(str(each) for each in point.manifest.consistency.get("not_kept", ()))
    if wanted.path is not None:
        not_kept = words_below(not_kept, wanted.path)
    if as_json:
        document = {
            "at": instant(made.at), "to": shown(str(made.to)), "files": made.files, "bytes": made.bytes,
            "target": made.target,
        }  # fmt: skip
        cluster = None if ready is None else ready_document(ready)
        more = {"database": loaded, "cluster": cluster, "server": server, "domain": defined}
        write_json({**document, **more, "not_kept": not_kept, "moments": read})
        return
    click.echo(
        f"Restored {counted(made.files, 'file')}, {size(made.bytes)}, as of {local(made.at)}: {shown(str(made.to))}"
    )
    for line in read:
        click.echo(f"  {line}")
    for lost in not_kept:
        click.echo(f"bkp: not as it was when it was saved: {lost}", err=True)
    if ready is not None:
        tell_ready(ready, until)
    if server is not None:
        tell_server(server)
    if loaded is not None:
        judged = "as many as were saved" if loaded["is_compared"] else "not compared: none were counted when saving"
        click.echo(f"Loaded into the database: {loaded['tables']} tables, {loaded['rows']} rows, {judged}.")
        for left in loaded.get("left_out", []):
            click.echo(f"bkp: left out, since it needs more than this table: {left}", err=True)
    tell_domain(defined)


def _demand_fitting(manifest: Manifest, wanted: Wanted, dsn: str | None) -> None:
    """Return when what is asked for can be done with what was saved; nothing was fetched yet."""
    if manifest.source in (BASE_KIND, MARIADB_KIND) and wanted.path is None and wanted.is_overwriting:
        raise click.UsageError("a server's files are not restored over another's: give --to an empty folder")
    if dsn is not None:
        demand_loadable(manifest)


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
