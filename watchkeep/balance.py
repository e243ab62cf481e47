"""`watchkeep balance`: which proxy of a group serves which source, how much each sends, and why."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from server.balancing.overview import read_overview
from watchkeep.at_database import command_database, run_at_database
from watchkeep.command_options import data_option, json_option

if TYPE_CHECKING:
    from pathlib import Path

    from server.balancing.overview import GroupOverview

_EPILOG = """\b
Examples:
  watchkeep balance              each group's proxies and what they carry
  watchkeep balance --sources    every source too, its home, and why
  watchkeep balance --json | jq '.groups[].sources[] | select(.kind=="moved")'
"""


@click.command("balance", epilog=_EPILOG)
@click.option("--sources", "with_sources", is_flag=True, help="List every source, by home and load.")
@json_option
@data_option
def balance_command(*, with_sources: bool, as_json: bool, data: Path | None) -> None:
    """Show how the sources of each proxy group are spread over its proxies: as of a minute ago at most.

    A source lives at one proxy (its home) and goes to the others when that one fails. Why it lives there: it came by
    its own list, followed when its proxy failed, was moved to even out, or stayed when it could not be moved.
    """
    groups: list[GroupOverview] = run_at_database(_read(data), as_json=as_json)
    if as_json:
        click.echo(json.dumps({"groups": [_plain(group) for group in groups]}))
        return
    if not groups:
        click.echo("no source has a home yet: balancing begins a minute after a group has two proxies")
    for group in groups:
        _show(group, with_sources=with_sources)


async def _read(data: Path | None) -> list[GroupOverview]:
    async with command_database(data, "balance") as database, database.connection() as connection:
        return await read_overview(connection)


def _show(group: GroupOverview, *, with_sources: bool) -> None:
    console = Console()
    console.print(f"proxy group {group.group}", highlight=False)
    proxies = Table("Proxy", "Sources", "Bytes/s", "Part", box=None)
    for each in group.proxies:
        proxies.add_row(each.name, str(each.source_count), f"{each.bytes_per_second:.0f}", f"{each.part:.0%}")
    console.print(proxies)
    if not with_sources:
        return
    sources = Table("Source", "Home", "Heard at", "Bytes/s", "Since (UTC)", "Why", box=None)
    for placed in group.sources:
        sources.add_row(
            placed.source,
            placed.home,
            placed.heard or "-",
            f"{placed.bytes_per_second:.0f}",
            f"{placed.since:%Y-%m-%d %H:%M:%S}",
            f"{placed.kind}: {placed.reason}",
        )
    console.print(sources)


def _plain(group: GroupOverview) -> dict[str, Any]:
    found = asdict(group)
    for source in found["sources"]:
        for name in ("since", "moved_at"):
            source[name] = None if source[name] is None else source[name].isoformat(timespec="seconds")
    return found
