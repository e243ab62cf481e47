"""`bkp find`: which restore points hold a file, and how it looked there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from backup.browse.finding import find_paths, pattern_of
from backup.command.instants import SAID, at_option
from backup.command.ls import entry_document
from backup.command.options import json_option, reading_options
from backup.command.passed_over import refused_documents, tell_passed_over
from backup.command.reach import chosen_sets
from backup.command.shell.offers import sets_offered
from backup.command.telling import about, instant, local, working, write_json
from backup.errors import BackupError, Cancelled, NoRestorePoint, NotInBackup
from backup.model import instant_name
from backup.spelling import for_shell, read_shown, shown
from core.model.counting import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from backup.browse.finding import Found, Version
    from backup.catalogue import Catalogue, Refused
    from backup.command.reach import Reach
    from backup.settings.backup_set import SetSettings
    from backup.settings.document import BackupSettings
    from backup.station.station import Station
    from backup.when import When

    _Looked = tuple[str, Found | None, tuple[Refused, ...]]

_EPILOG = f"""\b
Examples:
  bkp find nginx.conf                        in every point of every set
  bkp find "etc/nginx/*" --set web1/files    with a slash: a path from the top
  bkp find "*.sql" --at yesterday            in one point of each set

A name may have *, ? and [...]; * goes across slashes. Sizes are known to a block. No data is fetched, only lists of
files. Exit code 51: it is in none of the restore points that were looked into; 20, 21: a target is away.

{SAID}"""
_MOST_PATHS = 200


@click.command("find", epilog=_EPILOG)
@click.argument("pattern")
@click.option(
    "--set",
    "names",
    metavar="SET",
    multiple=True,
    shell_complete=sets_offered,
    help="Only this set (or HOST/SET); may be repeated.",
)
@at_option("Only the restore point of each set that this means; else all of them.")
@click.option("-i", "--ignore-case", is_flag=True, help="Capital and small letters are the same.")
@json_option
@reading_options
def find(
    *,
    settings: BackupSettings,
    pattern: str,
    names: tuple[str, ...],
    at: When | None,
    ignore_case: bool,
    as_json: bool,
) -> None:
    """Say which restore points hold PATTERN, with its times and sizes there."""
    is_meant = pattern_of(_plain(pattern), ignores_case=ignore_case)
    reach = chosen_sets(settings, names)
    looked = [_look_through(reach, each, is_meant, at, as_json=as_json) for each in reach.sets]
    if as_json:
        write_json({"sets": [_document(*each) for each in looked], "unread": reach.documents()})
    else:
        _tell(looked)
        reach.tell()
    reach.end()
    if at is not None and all(found is None for _, found, _ in looked):
        if as_json:
            raise SystemExit(NoRestorePoint.exit_code)
        raise NoRestorePoint(
            f"no set here has a restore point at or before {local(at.at)}: bkp list shows those there are"
        )
    if not any(found and found.versions for _, found, _ in looked):
        if as_json:
            raise SystemExit(NotInBackup.exit_code)
        raise NotInBackup(f"{pattern!r} is in no restore point that was looked into{_way_on(pattern)}")


def _plain(pattern: str) -> str:
    try:
        return read_shown(pattern)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _way_on(pattern: str) -> str:
    """Return what else to try with a path, which has to begin at the top."""
    plain = pattern.strip("/")
    if "/" not in pattern.rstrip("/") or plain.startswith("*"):
        return ""
    return f": a path with a slash begins at the top, as `bkp ls` shows it; anywhere it is {f'*/{plain}'!r}"


def _look_through(
    reach: Reach, chosen: SetSettings, is_meant: Callable[[str], bool], at: When | None, *, as_json: bool
) -> _Looked:
    """Return a set's name, what was found and which points were passed over.

    What stood in the way is noted, or raised of the only set.

    A set without restore points has nothing.
    """
    label = reach.label(chosen)
    try:
        with working(f"looking through {label}", is_shown=not as_json), reach.open(chosen) as station:
            catalogue = station.catalogue()
            found, passed = _look(station, catalogue, is_meant, at)
    except NoRestorePoint:
        return label, None, ()
    except Cancelled:
        raise
    except BackupError as error:
        if len(reach.sets) == 1:
            raise
        reach.note(label, error)
        return label, None, ()
    for chain, trouble in found.unread.items():
        reach.note(f"{label}, chain {chain},", trouble)
    if not as_json:
        tell_passed_over(label, catalogue, passed)
    return label, found, passed


def _look(
    station: Station, catalogue: Catalogue, is_meant: Callable[[str], bool], at: When | None
) -> tuple[Found, tuple[Refused, ...]]:
    newest = catalogue.newest(at)
    points = [newest] if at is not None else catalogue.whole
    passed = catalogue.unusable if at is None else catalogue.passed_over(newest, at)
    return find_paths(station, catalogue.points, points, is_meant), passed


def _tell(looked: list[_Looked]) -> None:
    paths = [(label, path, versions) for label, found, _ in looked if found
             for path, versions in sorted(found.versions.items(), key=lambda item: item[0].split("/"))]  # fmt: skip
    for label, path, versions in paths[:_MOST_PATHS]:
        click.echo(f"{label}: {shown(path)}")
        for version in versions:
            click.echo(f"    changed {local(version.entry.changed_at)}  {_what(version):>11}  in {_points(version)}")
    if len(paths) > _MOST_PATHS:
        click.echo(f"bkp: {counted(len(paths) - _MOST_PATHS, 'more path')}; --json shows all", err=True)
    if len(paths) == 1:
        label, path, versions = paths[0]
        click.echo(
            f"Bring it back: bkp restore {label} --path {for_shell(path)}"
            f" --at {instant_name(versions[-1].points[-1])} --to FOLDER",
            err=True,
        )


def _what(version: Version) -> str:
    return about(version.entry.content) if version.entry.kind == "file" else version.entry.kind


def _points(version: Version) -> str:
    first, last = version.points[0], version.points[-1]
    if len(version.points) == 1:
        return local(first)
    return f"{counted(len(version.points), 'restore point')}, {local(first)} to {local(last)}"


def _document(label: str, found: Found | None, passed: tuple[Refused, ...]) -> dict[str, Any]:
    versions = {} if found is None else found.versions
    return {
        "set": label,
        "found": [
            {
                "path": shown(path),
                "versions": [
                    {**entry_document(each.entry), "points": [instant(at) for at in each.points]} for each in seen
                ],
            }
            for path, seen in sorted(versions.items())
        ],
        "refused": refused_documents(passed),
    }
