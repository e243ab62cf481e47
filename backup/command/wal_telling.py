"""How `bkp restore` tells of a cluster that is ready to come up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from backup.command.telling import instant, local
from core.model.counting import counted

if TYPE_CHECKING:
    from backup.wal.choice import Until
    from backup.wal.recovery import Ready


def ready_document(ready: Ready) -> dict[str, Any]:
    """Return what programs are told."""
    return {
        "folder": str(ready.cluster),
        "wal_segments": ready.segments,
        "wal_reaches": instant(ready.reaches),
        "stops_at_target": ready.is_stopping,
    }


def tell_ready(ready: Ready, until: Until) -> None:
    """Tell people which state comes up, and what is left to do."""
    if ready.reaches is None:
        click.echo("No WAL was archived after this base backup: it comes up as of its own end.")
    else:
        click.echo(f"Fetched {counted(ready.segments, 'WAL segment')}; the archive reaches {local(ready.reaches)}.")
    if until.at is not None and not ready.is_stopping:
        click.echo(f"That is before {local(until.at)}: the newest state there is comes up.")
    if ready.is_stopping:
        click.echo(
            "Should PostgreSQL say that recovery ended before its target was reached, nothing was committed after that"
            " moment: remove recovery_target_… from postgresql.auto.conf and start it again."
        )
    if ready.has_config_outside:
        click.echo("postgresql.conf and pg_hba.conf lay outside of the cluster and are not in it: bring them as well.")
    click.echo(
        f"Start PostgreSQL on {ready.cluster} as the user it belongs to. It archives nothing (archive_mode = off in"
        " postgresql.auto.conf) until you say so: then with a set of its own."
    )
