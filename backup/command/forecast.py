"""`bkp restore --dry-run`: what a restore would bring and fetch."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from backup.binlog.recovery import choose_logs, is_logged, point_over
from backup.command.options import set_of
from backup.command.telling import instant, local, size, working, write_json
from backup.errors import BackupError, ObjectMissing
from backup.restoring.forecast import forecast
from backup.restoring.placing import demand_free
from backup.restoring.room import demand_room
from backup.spelling import shown
from backup.station.copies import at_any_copy
from backup.station.station import open_station
from backup.wal.recovery import KIND, choose_wal, point_for
from core.model.counting import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from backup.binlog.choice import Choice as Logs
    from backup.model import Manifest, RestorePoint
    from backup.restoring.forecast import Forecast
    from backup.restoring.wanted import Wanted
    from backup.settings.document import BackupSettings
    from backup.station.station import Station
    from backup.wal.choice import Choice, Until
    from backup.when import When

_MOST_NAMED = 12


def foretell(  # noqa: PLR0913 - where, of what, whether it fits, and how it is told
    settings: BackupSettings,
    name: str,
    at: When | None,
    until: Until,
    wanted: Wanted,
    fitting: Callable[[Manifest], None],
    *,
    is_replaying: bool,
    as_json: bool,
) -> None:
    """Say what restoring `wanted` would do. fitting: raises what speaks against it once the restore point is known.

    is_replaying: whether binary logs are to be replayed into what a dump is loaded into. Raises what stands in its way,
    after it was told; a gap in WAL or binary logs, and what `fitting` raises, before.
    """
    choice: Choice | None = None
    logs: Logs | None = None
    with open_station(settings, set_of(settings, name)) as station, working("looking", is_shown=not as_json):
        catalogue = station.points()
        point = point_over(catalogue, point_for(catalogue, at, until), until)
        fitting(point.manifest)
        found = _look(station, partial(forecast, points=catalogue.points, point=point, wanted=wanted), point)
        if point.manifest.source == KIND and wanted.path is None:
            choice = at_any_copy(
                station, "looking at the WAL", lambda there: choose_wal(there, point.manifest, until)[1]
            )
        if is_logged(point, until, is_loading=is_replaying, is_whole=wanted.path is None):
            logs = at_any_copy(
                station, "looking at binary logs", lambda there: choose_logs(there, point.manifest, until.at)
            )
    if as_json:
        write_json(
            {
                "at": instant(found.at),
                "to": shown(str(found.to)),
                "files": found.files,
                "most_bytes": found.bytes,
                "free_bytes": found.free_bytes,
                "has_room": found.has_room,
                "replaced": found.replaced,
                "fetched": [{"name": name, "bytes": number} for name, number in found.fetched],
                "missing": list(found.missing),
                "wal": None if choice is None else _wal_document(choice),
                "binlog": None if logs is None else {"logs": len(logs.logs), "reaches": instant(logs.reaches)},
            }
        )
    else:
        _tell(found, choice, logs)
    try:
        _demand(found, wanted)
    except BackupError as error:
        if as_json:  # the document is told; one more would be one too many
            raise SystemExit(error.exit_code) from error
        raise


def _look(station: Station, looking: Callable[[Station], Forecast], point: RestorePoint) -> Forecast:
    """Return how it looks at the first copy that has all files; where none has, at the first that can be read."""
    seen: list[Forecast] = []

    def attempt(there: Station) -> Forecast:
        found = looking(there)
        seen.append(found)
        _demand_files(found)
        return found

    try:
        return at_any_copy(station, "looking", attempt, [point])
    except ObjectMissing:
        if not seen:
            raise
        return seen[0]


def _wal_document(choice: Choice) -> dict[str, Any]:
    return {
        "files": len(choice.objects),
        "bytes": sum(each.size_bytes for each in choice.objects),
        "reaches": instant(choice.reaches),
        "stops_at_target": choice.is_target_needed,
    }


def _tell(found: Forecast, choice: Choice | None, logs: Logs | None) -> None:
    click.echo(f"Would restore {counted(found.files, 'file')}, at most {size(found.bytes)}, as of {local(found.at)}:")
    click.echo(f"  to       {shown(str(found.to))}")
    click.echo(f"  room     {size(found.free_bytes)} free there")
    click.echo(f"  replaces {counted(found.replaced, 'file')} there")
    fetched = sum(number for _, number in found.fetched)
    click.echo(f"  fetches  {counted(len(found.fetched), 'file')} of the target, {size(fetched)}:")
    for name, number in found.fetched[:_MOST_NAMED]:
        below = name.split("/", 4)[-1]  # of its chain: HOST/SET/chains/CHAIN
        click.echo(f"    {size(number):>10}  {below}{'  MISSING' if name in found.missing else ''}")
    if len(found.fetched) > _MOST_NAMED:
        click.echo(f"    and {len(found.fetched) - _MOST_NAMED} more; --json names all")
    if choice is not None:
        wal = sum(each.size_bytes for each in choice.objects)
        reaches = "none is archived" if choice.reaches is None else f"the archive reaches {local(choice.reaches)}"
        click.echo(f"  WAL      {counted(len(choice.objects), 'file')}, {size(wal)} at the target; {reaches}")
    if logs is not None:
        stored = sum(each.size_bytes for each in logs.logs)
        reaches = "none later is archived" if logs.reaches is None else f"the archive reaches {local(logs.reaches)}"
        click.echo(f"  replays  {counted(len(logs.logs), 'binary log')}, {size(stored)} at the target; {reaches}")
    click.echo("Nothing was written.")


def _demand(found: Forecast, wanted: Wanted) -> None:
    """Return when the restore would work. Raises ObjectMissing, DestinationInUse."""
    _demand_files(found)
    if wanted.is_room_asked:
        demand_room(found.bytes, wanted.final)
    if not wanted.is_overwriting:
        demand_free(wanted.final)


def _demand_files(found: Forecast) -> None:
    """Return when all that would be fetched is there. Raises ObjectMissing."""
    if found.missing:
        raise ObjectMissing(
            f"{found.missing[0]} is missing at the target: bkp verify says what it costs, --at chooses another point"
        )
