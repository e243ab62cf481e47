"""`watchkeep doctor`: says what is wrong with an installation, and what to do."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from watchkeep.checks.registry import CHECKS
from watchkeep.checks.subject import examine
from watchkeep.checks.verdict import State
from watchkeep.checks.wording import count
from watchkeep.command_options import data_option, json_option
from watchkeep.installation import data_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from watchkeep.checks.verdict import Verdict

    Findings = Mapping[str, Sequence[Verdict]]

_EPILOG = """\b
Examples:
  watchkeep doctor                      the installation in ./var
  watchkeep doctor --data /srv/wk
  watchkeep doctor --json | jq .state   for programs

Looks only: takes no lock and changes nothing, whether Watchkeep runs or not.
Exit codes: 0 all in order, 1 there are warnings, 2 something does not work.
"""
_SIGNS: Final = {
    State.OK: ("✓", "green"),
    State.UNKNOWN: ("·", "dim"),
    State.WARNING: ("!", "yellow"),
    State.FAILURE: ("✗", "red"),
}
_WIDE: Final = 1000
_EXIT_CODES: Final = {State.OK: 0, State.UNKNOWN: 0, State.WARNING: 1, State.FAILURE: 2}


@click.command("doctor", epilog=_EPILOG)
@json_option
@data_option
def doctor(*, as_json: bool, data: Path | None) -> None:
    """Say what is wrong with an installation, and what to do about it."""
    folder = data_folder(data)
    subject = asyncio.run(examine(folder))
    findings = {group: [check(subject) for check in checks] for group, checks in CHECKS.items()}
    worst = max(verdict.state for verdicts in findings.values() for verdict in verdicts)
    if as_json:
        click.echo(json.dumps(to_json(folder, findings), indent=1, ensure_ascii=False))
    else:
        show(folder, findings)
    raise SystemExit(_EXIT_CODES[worst])


def to_json(folder: Path, findings: Findings) -> dict[str, object]:
    """Return the findings for programs; `state` is the worst of them, unknown ones apart."""
    told = [
        {
            "check": verdict.check,
            "group": group,
            "state": verdict.state.name.lower(),
            "message": verdict.message,
            "remedy": verdict.remedy,
        }
        for group, verdicts in findings.items()
        for verdict in verdicts
    ]
    known = [v.state for verdicts in findings.values() for v in verdicts if v.state != State.UNKNOWN]
    return {"data": str(folder), "state": max(known, default=State.OK).name.lower(), "checks": told}


def show(folder: Path, findings: Findings) -> None:
    """Print the findings for people."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDE  # a finding stays one line in a pipe
    console.print(Text(f"Watchkeep in {folder}", style="bold"))
    widest = max(len(verdict.check) for verdicts in findings.values() for verdict in verdicts)
    for group, verdicts in findings.items():
        console.print()
        console.print(Text(f"  {group}", style="bold"))
        table = Table(box=None, show_header=False, padding=(0, 1, 0, 0), pad_edge=False)
        table.add_column(width=5, justify="right")
        table.add_column(width=widest + 1)
        table.add_column(overflow="fold")
        for verdict in verdicts:
            sign, colour = _SIGNS[verdict.state]
            style = "dim" if verdict.state == State.UNKNOWN else ""
            table.add_row(
                Text(sign, style=colour), Text(verdict.check, style=style), Text(verdict.message, style=style)
            )
            if verdict.remedy:
                table.add_row("", "", Text(f"→ {verdict.remedy}", style=colour))
        console.print(table)
    console.print()
    console.print(_summary(findings))


def _summary(findings: Findings) -> Text:
    states = [verdict.state for verdicts in findings.values() for verdict in verdicts]
    numbers = {state: states.count(state) for state in State}
    told = []
    if numbers[State.FAILURE]:
        told.append((count(numbers[State.FAILURE], "failure"), "bold red"))
    if numbers[State.WARNING]:
        told.append((count(numbers[State.WARNING], "warning"), "bold yellow"))
    told.append((f"{numbers[State.OK]} in order", "green"))
    if numbers[State.UNKNOWN]:
        told.append((f"{numbers[State.UNKNOWN]} not looked at", "dim"))
    line = Text("  ")
    for text, style in told:
        line.append(", " if len(line) > 2 else "").append(text, style=style)
    return line
