"""A click group made from a table: each command is imported only when it is called. For programs that have click."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from collections.abc import Mapping


class Place(NamedTuple):
    """Where a command's code is, as "module:attribute", and what it does in one line."""

    code: str
    summary: str


class LazyGroup(click.Group):
    """A group whose commands are listed, completed and explained from `places` without importing them."""

    def __init__(self, *args: Any, places: Mapping[str, Place], **options: Any) -> None:
        super().__init__(*args, **options)
        self._places = places

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of all commands."""
        return sorted(self._places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import a command; None when there is none of that name."""
        place = self._places.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.code.partition(":")
        command = getattr(import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{place.code} is not a command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the list of commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._places[name].summary) for name in sorted(self._places)])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command's name."""
        found = [
            CompletionItem(name, help=self._places[name].summary)
            for name in sorted(self._places)
            if name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)
