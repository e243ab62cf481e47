"""How `bkp prune` shows people what of a set goes, what stays, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from backup.command.telling import local, size
from backup.spelling import shown
from core.model.counting import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backup.pruning.plan import Plan

LOGS_GO: Final = {
    "wal": ("WAL file", "written before the oldest base backup that stays"),
    "binlog": ("binary log piece", "written before the oldest restore point that stays"),
}
"""What each kind of archived logs is called, and why some go."""


def logs_going(plan: Plan) -> Iterator[tuple[str, list[int]]]:
    """Yield each kind of archived logs of which some go, with their bytes."""
    for kind, folder in (("wal", plan.place.wal), ("binlog", plan.place.binlog)):
        if going := [number for name, number in plan.logs.items() if name.startswith(f"{folder}/")]:
            yield kind, going


def show_plan(label: str, plan: Plan) -> None:
    """Show a set's plan."""
    going = sum(1 for each in plan.verdicts if each.goes)
    click.echo(
        f"{label} at {plan.target}: {counted(len(plan.verdicts), 'chain')}, {going} to go,"
        f" {size(plan.bytes_going)} to be freed"
    )
    click.echo(f"  as of {local(plan.as_of)}:")
    for each in plan.verdicts:
        chain = each.chain
        points = f"{counted(len(chain.points), 'point')} to {local(chain.newest)}"
        _show_verdict(chain.name, chain.size_bytes, points, each.reason, goes=each.goes)
    for begun in plan.unfinished:
        why = begun.waits or "its deletion was begun"
        _show_verdict(begun.left.chain, begun.left.size_bytes, "deleted", why, goes=begun.waits is None)
    for stray in plan.strays:
        files = f"{counted(len(stray.stray.files), 'file')} of no point"
        _show_verdict(shown(stray.stray.chain), stray.stray.size_bytes, files, stray.reason, goes=stray.goes)
    for kind, logs in logs_going(plan):
        what, why = LOGS_GO[kind]
        click.echo(f"  {counted(len(logs), what)}, {size(sum(logs))}, go: {why}")
    for note in plan.notes:
        click.echo(f"bkp: {label}: {note}", err=True)


def _show_verdict(chain: str, size_bytes: int, what: str, why: str, *, goes: bool) -> None:
    """Tell what becomes of something, its reason on a line of its own: in a narrow column it would be cut."""
    verdict = click.style("goes ", fg="red") if goes else "stays"
    click.echo(f"  {verdict}  {chain}  {size(size_bytes):>9}  {what}")
    click.echo(f"         {shown(why)}")
