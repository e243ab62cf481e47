"""The options that take a time, in the words of `backup/when.py`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from backup.command.shell.offers import points_offered
from backup.when import read_ahead, understand_past

if TYPE_CHECKING:
    from collections.abc import Callable

    from backup.when import When

CommandT = TypeVar("CommandT", bound="Callable[..., Any]")
SAID: Final = """
WHEN is a restore point's name (20261120T170000Z), "2026-11-20 18:00", "2026-11-20T17:00:00Z", "2026-11-20" (its end),
"yesterday 18:00", "friday", "18:00", "2 days ago" or "now"; without a zone this machine's time. The newest restore
point that is not later is taken; a time to the minute means the one of that minute. What fits several is refused.
""".strip()


def at_option(words: str) -> Callable[[CommandT], CommandT]:
    """Add --at, which the function gets as `at`: what somebody means by it, or None; `words` are its help."""
    return click.option("--at", metavar="WHEN", callback=point, help=words, shell_complete=points_offered)


def point(context: click.Context, parameter: click.Parameter, text: str | None) -> When | None:
    """Read what a restore point is called by; None when it is left out."""
    try:
        return None if text is None else understand_past(text, datetime.now(UTC))
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from error


def end_said(context: click.Context, parameter: click.Parameter, text: str | None) -> datetime | None:
    """Read until when something is to hold; None when it is left out."""
    try:
        return None if text is None else read_ahead(text, datetime.now(UTC))
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from error
