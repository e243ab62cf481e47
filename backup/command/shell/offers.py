"""The places where shells are offered something: the work is done elsewhere, imported only when a shell asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem


def sets_offered(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer names of sets."""
    from backup.command.shell.completing import complete_sets  # noqa: PLC0415 - it imports the targets

    return complete_sets(context, parameter, incomplete)


def own_sets_offered(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer names of the configuration's sets."""
    from backup.command.shell.completing import complete_own_sets  # noqa: PLC0415 - as above

    return complete_own_sets(context, parameter, incomplete)


def points_offered(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the restore points of the set that was named before."""
    from backup.command.shell.completing import complete_points  # noqa: PLC0415 - as above

    return complete_points(context, parameter, incomplete)
