"""The argument SETS of commands that take any number of sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from backup.command.shell.offers import own_sets_offered, sets_offered

if TYPE_CHECKING:
    from collections.abc import Callable

CommandT = TypeVar("CommandT", bound="Callable[..., Any]")
_METAVAR = "[SETS]..."


def sets_argument(command: CommandT) -> CommandT:
    """Add the argument SETS, which the function gets as `names`: sets of the configuration or at its targets."""
    return click.argument("names", metavar=_METAVAR, nargs=-1, shell_complete=sets_offered)(command)


def own_sets_argument(command: CommandT) -> CommandT:
    """Add the argument SETS as `sets_argument` does, for commands that know sets of the configuration only."""
    return click.argument("names", metavar=_METAVAR, nargs=-1, shell_complete=own_sets_offered)(command)
