"""`watchkeep history`: brings samples and trends out of the store into files, and files into the store."""

from __future__ import annotations

import asyncio
import gzip
import json
import shutil
import sys
import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from core.config.reader import parse_duration
from core.runtime.clock import SystemClock
from server.exchange.exporting import Order, Selection, export, select_items
from server.exchange.importing import Import, ImportBrokenOff, import_history
from server.exchange.registry import FORMS, GZIP_SUFFIX, FormUnknown, form_of
from server.store.errors import StoreError
from watchkeep.at_database import command_database
from watchkeep.caller import actor_name
from watchkeep.command_options import data_option, fail, json_option
from watchkeep.installation import InstallationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from server.exchange.importing import Imported

_STANDARD: Final = "-"
_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)


_EPILOG = """\b
Examples:
  watchkeep history export --host db1 --from 7d db1.csv.gz
  watchkeep history import db1.csv.gz
"""


@click.group("history", epilog=_EPILOG)
def history_group() -> None:
    """Bring history out of the store and into it: CSV, JSON lines, Parquet."""


_EXPORT_EPILOG = """\b
Examples:
  watchkeep history export all.csv.gz
  watchkeep history export --host 'db*' --item 'cpu.*' --from 7d cpu.parquet
  watchkeep history export --group web --trends --format jsonl - | jq .average

The suffix says the form (.csv, .jsonl, .parquet) and, by .gz behind it, that it is compressed.
Exit codes: 0 done (nothing found, too), 2 a fault; an unfinished file is removed.
"""
_IMPORT_EPILOG = """\b
Examples:
  watchkeep history import all.csv.gz
  zcat old.jsonl.gz | watchkeep history import --format jsonl -

The file is looked through first; with any fault nothing is stored. The same file again stores nothing twice, and what
was measured is not overwritten. Hosts and items that are missing are made. No problem is opened.
Exit codes: 0 everything is stored, 1 some samples were refused (older than their item is kept, or in the future),
2 a fault.
"""
_format_option = click.option("--format", "form", type=click.Choice(FORMS), help="The form, else the suffix says it.")


@history_group.command("export", epilog=_EXPORT_EPILOG)
@click.argument("file", type=click.Path(allow_dash=True, dir_okay=False))
@click.option("--host", "hosts", multiple=True, help="Only hosts whose name fits: * any letters, ? one.")
@click.option("--group", "groups", multiple=True, help="Only hosts of this group.")
@click.option("--item", "items", multiple=True, help="Only items whose key fits; brackets stand for themselves.")
@click.option("--from", "begin", help="From this instant (ISO 8601) on, or so long ago (7d); else from the first one.")
@click.option("--to", "end", help="Up to this instant, itself left out, or so long ago; else up to now.")
@click.option("--trends", is_flag=True, help="Each hour's minimum, mean, maximum and count instead of samples.")
@_format_option
@json_option
@data_option
def export_command(  # noqa: PLR0913 - the options of the command, by name
    file: str,
    *,
    hosts: tuple[str, ...],
    groups: tuple[str, ...],
    items: tuple[str, ...],
    begin: str | None,
    end: str | None,
    trends: bool,
    form: str | None,
    as_json: bool,
    data: Path | None,
) -> None:
    """Write history into FILE, - for the standard output."""
    now = datetime.now(UTC)
    try:
        order = Order(
            kind="trends" if trends else "samples",
            form=form or form_of(file),
            begin=_BEGINNING if begin is None else _instant(begin, now),
            end=now if end is None else _instant(end, now),
        )
        count, rows = asyncio.run(
            _export(file, Selection(hosts=hosts, groups=groups, items=items), order, data, is_quiet=as_json)
        )
    except (InstallationError, StoreError, FormUnknown, OSError, ValueError) as error:
        fail(str(error), as_json=as_json)
    if as_json:
        click.echo(json.dumps({"items": count, "rows": rows}), err=file == _STANDARD)
    else:
        click.echo(f"{rows} {order.kind} of {count} items", err=True)


@history_group.command("import", epilog=_IMPORT_EPILOG)
@click.argument("file", type=click.Path(allow_dash=True, dir_okay=False))
@_format_option
@json_option
@data_option
def import_command(file: str, *, form: str | None, as_json: bool, data: Path | None) -> None:
    """Store the samples or trends of FILE, - for the standard input."""
    try:
        imported: Imported = asyncio.run(_import(file, form or form_of(file), data, is_quiet=as_json))
    except (InstallationError, StoreError, FormUnknown, ImportBrokenOff, OSError) as error:
        fail(str(error), as_json=as_json)
    if as_json:
        click.echo(json.dumps(imported.to_json(), ensure_ascii=False))
    else:
        _tell(imported)
    raise SystemExit(2 if imported.fault_count else 1 if imported.too_old or imported.ahead else 0)


def _tell(imported: Imported) -> None:
    for fault in imported.faults:
        click.echo(str(fault), err=True)
    if imported.fault_count:
        more = imported.fault_count - len(imported.faults)
        click.echo(f"watchkeep: {f'{more} more faults; ' if more else ''}nothing was stored", err=True)
        return
    click.echo(f"{imported.stored} stored, {imported.known} known before", err=True)
    if imported.items_made:
        click.echo(f"{imported.items_made} items and {imported.hosts_made} hosts were made", err=True)
    if imported.too_old:
        click.echo(f"{imported.too_old} refused: older than their items are kept", err=True)
    if imported.ahead:
        click.echo(f"{imported.ahead} refused: more than ten minutes in the future", err=True)


def _instant(text: str, now: datetime) -> datetime:
    ago = parse_duration(text)
    if ago is not None:
        return now - ago
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f'expected an instant like "2026-11-21T06:00Z" or a duration like "7d", found {text!r}'
        ) from None
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


async def _export(
    file: str, selection: Selection, order: Order, data: Path | None, *, is_quiet: bool
) -> tuple[int, int]:
    rows = 0
    async with command_database(data, "history") as database:
        items = await select_items(database, selection)
        with _writing(file) as stream, _progress(f"{len(items)} items", is_quiet=is_quiet) as tell:

            def told(more: int) -> None:
                nonlocal rows
                rows += more
                tell("writing", rows)

            async for piece in export(database, items, order, told):
                await asyncio.to_thread(stream.write, piece)
    return len(items), rows


async def _import(file: str, form: str, data: Path | None, *, is_quiet: bool) -> Imported:
    with _reading(file) as stream, _progress(file, is_quiet=is_quiet) as told:
        async with command_database(data, "history") as database:
            wanted = Import(stream=stream, name=file, form=form, by=actor_name("history import"))
            return await import_history(database, wanted, SystemClock(), told)


@contextmanager
def _writing(file: str) -> Iterator[BinaryIO]:
    """Open the file to be written; it gets its name when it is whole, and is gone when it is not."""
    if file == _STANDARD:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(file)
    draft = path.with_name(path.name + ".part")
    try:
        with draft.open("wb") as raw:
            if path.name.endswith(GZIP_SUFFIX):
                with gzip.GzipFile("", "wb", 6, raw) as packed:
                    yield cast("BinaryIO", packed)
            else:
                yield raw
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def _reading(file: str) -> Iterator[BinaryIO]:
    """Open the file to be read; the standard input is put on the disk first: Parquet is read from its end."""
    if file == _STANDARD:
        with tempfile.TemporaryFile() as spooled:
            shutil.copyfileobj(sys.stdin.buffer, spooled)
            spooled.seek(0)
            yield cast("BinaryIO", spooled)
        return
    with Path(file).open("rb") as raw:
        if file.endswith(GZIP_SUFFIX):
            with gzip.GzipFile(fileobj=raw) as unpacked:
                yield cast("BinaryIO", unpacked)
        else:
            yield raw


@contextmanager
def _progress(doing: str, *, is_quiet: bool) -> Iterator[Callable[[str, int], None]]:
    """Show on the standard error how far it is; nothing where nobody looks."""
    if is_quiet or not sys.stderr.isatty():
        yield lambda phase, rows: None  # noqa: ARG005 - nobody looks
        return
    columns: tuple[Any, ...] = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(doing, total=None)
        checked = 0

        def tell(phase: str, rows: int) -> None:
            nonlocal checked
            checked = max(checked, rows)
            total = checked if phase == "storing" else None
            bar.update(task, description=f"{doing}: {phase}, {rows:,} rows", completed=rows, total=total)

        yield tell
