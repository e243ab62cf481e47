"""`bkp diff`: what was added, removed and changed between two restore points, or since one in a folder."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from backup.browse.difference import ADDED, CHANGED, REMOVED, compare_points, compare_with_folder
from backup.command.instants import SAID, point
from backup.command.ls import entry_document
from backup.command.options import json_option, reading_options, set_of
from backup.command.passed_over import refused_documents, tell_passed_over
from backup.command.shell.offers import points_offered, sets_offered
from backup.command.telling import about, instant, local, working, write_json
from backup.restoring.wanted import read_path
from backup.spelling import shown
from backup.station.copies import at_any_copy
from backup.station.station import open_station
from core.model.counting import counted

if TYPE_CHECKING:
    from pathlib import PurePosixPath

    from backup.browse.difference import Difference
    from backup.settings.document import BackupSettings
    from backup.when import When

_EPILOG = f"""\b
Examples:
  bkp diff files yesterday now                  between two restore points
  bkp diff files "2 days ago" now --path etc    only there
  bkp diff files yesterday /                    with this machine's files
  bkp diff web1/files now /srv/back/etc --path etc    with what was restored

SECOND is a folder when it begins with / or a dot. A folder is compared by kind, size, time, mode, owner and link: bytes
that differ at the same size and time are not seen. Two restore points are compared by their contents' checksums.

{SAID}"""
_SIGNS = {ADDED: ("+", "green"), REMOVED: ("-", "red"), CHANGED: ("~", "yellow")}


def _second(context: click.Context, parameter: click.Parameter, text: str) -> When | Path | None:
    return Path(text) if text.startswith(("/", ".")) else point(context, parameter, text)


@click.command("diff", epilog=_EPILOG)
@click.argument("name", metavar="SET", shell_complete=sets_offered)
@click.argument("first", metavar="FIRST", callback=point, shell_complete=points_offered)
@click.argument("second", metavar="[SECOND]", default="now", callback=_second, shell_complete=points_offered)
@click.option("--path", default="", help="Only this file or folder, as `bkp ls` shows it.")
@json_option
@reading_options
def diff(*, settings: BackupSettings, name: str, first: When, second: When | Path, path: str, as_json: bool) -> None:
    """Say what is not the same at SECOND (a time or a folder; else the newest) as at FIRST, for SET (or HOST/SET)."""
    below = read_path(path)
    if isinstance(second, Path) and not second.exists():
        raise click.UsageError(f"the folder {second} is not there")
    with open_station(settings, set_of(settings, name)) as station, working("comparing", is_shown=not as_json):
        catalogue = station.points()
        before = catalogue.newest(first)
        passed = catalogue.passed_over(before, first)
        if isinstance(second, Path):
            other, points = str(second.absolute()), [before]
            comparing = partial(compare_with_folder, point=before, folder=second.absolute())
        else:
            after = catalogue.newest(second)
            passed = tuple(dict.fromkeys((*passed, *catalogue.passed_over(after, second))))
            other, points = local(after.at), [before, after]
            comparing = partial(compare_points, first=before, second=after)
        comparing = partial(comparing, points=catalogue.points, below=below)
        found = at_any_copy(station, "comparing", comparing, points)
    counts = Counter(each.how for each in found)
    if as_json:
        sides = {"first": instant(before.at), "second": other if isinstance(second, Path) else instant(after.at)}
        write_json(
            {
                **sides,
                "path": "" if below is None else str(below),
                **{how: counts[how] for how in (ADDED, REMOVED, CHANGED)},
                "differences": [_document(each) for each in found],
                "refused": refused_documents(passed),
            }
        )
        return
    tell_passed_over(name, catalogue, passed)
    click.echo(f"from {local(before.at)} to {other}", err=True)
    _tell(found, below)
    click.echo(", ".join(f"{counts[how]} {how}" for how in (ADDED, REMOVED, CHANGED)) if found else "nothing differs")


def _tell(found: list[Difference], below: PurePosixPath | None) -> None:
    """Show each difference; of a folder that came or went whole one line."""
    inside = Counter[str]()
    whole: dict[str, str] = {}
    lines: list[Difference] = []
    for each in found:
        top = next((folder for folder in _above(each.path, below) if whole.get(folder) == each.how), None)
        if top is not None:
            inside[top] += 1
            continue
        entry = each.after or each.before
        if each.how != CHANGED and entry is not None and entry.kind == "folder":
            whole[each.path] = each.how
        lines.append(each)
    for each in lines:
        sign, colour = _SIGNS[each.how]
        more = f"/ and {counted(inside[each.path], 'entry')} in it" if inside[each.path] else _said(each)
        click.echo(f"{click.style(sign, fg=colour)} {shown(each.path)}{more}")


def _above(path: str, below: PurePosixPath | None) -> list[str]:
    parts = path.split("/")
    least = 0 if below is None else len(below.parts) - 1
    return ["/".join(parts[:number]) for number in range(least + 1, len(parts))]


def _said(each: Difference) -> str:
    if each.how != CHANGED or each.before is None or each.after is None:
        return "/" if (each.after or each.before) and (each.after or each.before).kind == "folder" else ""  # type: ignore[union-attr]  # one of the two is there
    if "kind" in each.why:
        return f"  ({each.before.kind} became {each.after.kind})"
    sizes = (about(each.before.content), about(each.after.content))
    size = f": {sizes[0]} to {sizes[1]}" if "content" in each.why and sizes[0] != sizes[1] else ""
    return f"  ({', '.join(each.why)}{size})"


def _document(each: Difference) -> dict[str, Any]:
    return {
        "path": shown(each.path),
        "how": each.how,
        "why": list(each.why),
        "before": None if each.before is None else entry_document(each.before),
        "after": None if each.after is None else entry_document(each.after),
    }
