"""`watchkeep rebuild`: makes the database of a local installation from a restored backup of one, on the worst day."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from backup.errors import BackupError, DestinationInUse
from backup.loading.postgresql import load_restored
from backup.loading.rows import compare_rows
from backup.sources.postgresql.dump import RECORD_FILE
from core.runtime.account import NoAccountError, account_for, hand_over
from core.runtime.logging import configure
from server.store.embedded import EmbeddedPostgres, binaries
from server.store.errors import StoreError
from watchkeep.command_options import data_option
from watchkeep.installation import data_folder
from watchkeep.up.faults import UpError
from watchkeep.up.layout import Layout
from watchkeep.up.run import only_one

if TYPE_CHECKING:
    from collections.abc import Mapping

_LIMIT_SECONDS: Final = 6 * 3600.0
_EPILOG = """\b
Examples:
  bkp restore web1/watchkeep-database --from /mnt --key ./keys --to ./database
  watchkeep rebuild ./database --data /srv/watchkeep
  watchkeep up --data /srv/watchkeep

Put the files of the set watchkeep-files back first: docs/disaster.md has the whole way.
Exit codes: 0 rebuilt, every table with the rows that were saved; 1 not.
"""


@click.command("rebuild", epilog=_EPILOG)
@click.argument("restored", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="FOLDER")
@data_option
def rebuild_command(restored: Path, data: Path | None) -> None:
    """Make the database anew from FOLDER, where `bkp restore` put the set watchkeep-database.

    The data folder must hold no database with tables. Its files belong to the account that `watchkeep up` uses then.
    """
    configure()
    try:
        found = rebuild(Layout(data=data_folder(data)), restored.absolute())
    except (BackupError, NoAccountError, OSError, StoreError, UpError) as error:
        click.echo(f"watchkeep: {error}", err=True)
        raise SystemExit(1) from error
    click.echo(f"The database is back: {len(found)} tables, {sum(found.values())} rows, as many as were saved.")
    click.echo(f"Start it:  watchkeep up --data {data_folder(data)}")


def rebuild(layout: Layout, restored: Path) -> Mapping[str, int]:
    """Load a restored dump into the installation's own database; return the rows of each table.

    Raises BackupDamaged when rows are missing; UpError when it has tables already, when `watchkeep up` runs on the
    folder, or when no dump lies in `restored`.
    """
    saved = _read_rows(restored / RECORD_FILE)
    layout.make()
    account = account_for(layout.data, [Path(sys.executable), binaries() / "postgres"])
    with only_one(layout.data):
        hand_over(layout.data, account)
        with EmbeddedPostgres(layout.postgres) as postgres:
            try:
                found = load_restored(restored, postgres.dsn, _LIMIT_SECONDS)
            except DestinationInUse as error:
                raise UpError(f"{error}. To begin anew, move {layout.postgres} away") from error
    compare_rows(saved, found)
    return found


def _read_rows(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))["rows"]
        return {str(name): int(count) for name, count in found.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UpError(
            f"{file} cannot be read ({error}): name the folder that `bkp restore HOST/watchkeep-database --to` made"
        ) from error
