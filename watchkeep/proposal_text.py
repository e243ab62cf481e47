"""Writes what would change, or what is wrong, for people and for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from server.inventory.difference import ABSENT, differences

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from server.inventory.apply import Proposal
    from server.inventory.fault import Fault
    from server.inventory.plan import Change

_SIGNS = {"create": ("+", "green"), "update": ("~", "yellow"), "delete": ("-", "red")}
_OUTCOMES = {"create": "created", "update": "changed", "delete": "deleted"}


def print_faults(faults: Sequence[Fault]) -> None:
    """Print each fault with its place and remedy on the standard error."""
    console = _console(stderr=True)
    for fault in faults:
        place = f"{fault.file}:{fault.line}:{fault.column}" if fault.line else fault.file
        subject = f"{fault.path}: " if fault.path else ""
        console.print(Text.assemble((f"{place}: ", "bold"), f"{subject}{fault.message}"))
        console.print(Text(f"    {fault.remedy}", style="dim"))
    count = len(faults)
    console.print(Text(f"{count} fault{'' if count == 1 else 's'}; nothing was changed", style="red"))


def print_changes(changes: Sequence[Change]) -> None:
    """Print the changes, each with the places where it differs."""
    console = _console()
    for change in changes:
        sign, colour = _SIGNS[change.action]
        console.print(Text(f"{sign} {change.kind} {change.name}", style=f"bold {colour}"))
        if change.overwrites:
            console.print(Text(f"    was changed on the page by {change.overwrites}", style="yellow"))
        for line, style in _lines(change):
            console.print(Text(f"    {line}", style=style))


def print_consequences(consequences: Sequence[str]) -> None:
    """Print what the changes bring about beyond themselves."""
    console = _console()
    for line in consequences:
        console.print(Text(f"! {line}", style="yellow"))


def summarise(changes: Sequence[Change], ending: str) -> str:
    """Return one line: how many are created, changed, deleted."""
    counts = {action: sum(change.action == action for change in changes) for action in _OUTCOMES}
    told = [f"{count} {_OUTCOMES[action]}" for action, count in counts.items() if count]
    return f"{', '.join(told)}{ending}"


def print_json(proposal: Proposal, **more: Any) -> None:
    """Print the proposal as one JSON object on the standard output."""
    found = {
        "changes": [change.to_json() for change in proposal.changes],
        "consequences": list(proposal.consequences),
        "errors": [fault.to_json() for fault in proposal.faults],
    }
    print(json.dumps(found | more, indent=1, ensure_ascii=False))  # noqa: T201 - the command's answer


def _lines(change: Change) -> Iterator[tuple[str, str]]:
    if change.before is None or change.after is None:
        return
    for found in differences(change.before, change.after):
        yield found.path, ""
        if found.before is not ABSENT:
            yield f"  - {_show(found.before)}", "red"
        if found.after is not ABSENT:
            yield f"  + {_show(found.after)}", "green"


def _show(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _console(*, stderr: bool = False) -> Console:
    # Soft wrap: a line of ours stays one line in a pipe, whatever the width of the terminal.
    return Console(stderr=stderr, highlight=False, soft_wrap=True)
