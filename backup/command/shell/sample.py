"""`bkp sample`: every setting of backup.toml, from its declaration."""

from __future__ import annotations

import click

from backup.settings.document import BackupSettings
from core.config.sample import sample_file

_EPILOG = """\b
Examples:
  bkp sample                  every setting, its meaning and its default
  bkp sample > backup.toml    to begin with; all but `host` is commented out

What a host and a restore station need of it: docs/backup.md. A pruner: docs/backup-retention.md.
"""


@click.command("sample", epilog=_EPILOG)
def sample() -> None:
    """Print a backup.toml that has every setting, with what it means and its default."""
    click.echo(sample_file(BackupSettings), nl=False)
