"""What commands that read say of restore points that cannot be used and are newer than those they show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backup.catalogue import Catalogue, Refused


def tell_passed_over(label: str, catalogue: Catalogue, passed: Sequence[Refused]) -> None:
    """Say on standard error what was passed over in a set; nothing when nothing was."""
    if passed:
        click.echo(f"bkp: {label}: {catalogue.said_of(passed)}", err=True)


def refused_documents(passed: Sequence[Refused]) -> list[dict[str, Any]]:
    """Return for programs what does not count, and why."""
    return [{"name": each.name, "why": each.why} for each in passed]
