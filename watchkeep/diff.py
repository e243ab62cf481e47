"""`watchkeep diff`: what applying files would change."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from server.store.errors import StoreError
from watchkeep.command_options import data_option, fail, json_option
from watchkeep.definition_files import propose_files
from watchkeep.installation import InstallationError
from watchkeep.proposal_text import print_changes, print_consequences, print_faults, print_json, summarise

if TYPE_CHECKING:
    from pathlib import Path

_EPILOG = """\b
Examples:
  watchkeep diff definitions/            all .yaml files of a folder
  watchkeep diff --prune definitions/    also what no file defines any more
  watchkeep diff --json db1.yaml | jq '.changes[].name'

Exit codes: 0 nothing differs, 1 something differs, 2 a fault.
"""


@click.command(epilog=_EPILOG)
@click.argument("files", nargs=-1, required=True, type=click.Path(allow_dash=True))
@click.option("--prune", is_flag=True, help="Count as deleted what earlier files defined and these do not.")
@json_option
@data_option
def diff(files: tuple[str, ...], *, prune: bool, as_json: bool, data: Path | None) -> None:
    """Show what `watchkeep apply` would change.

    FILES are YAML files, folders of them, or - for the standard input. Nothing is changed.
    """
    try:
        proposal = asyncio.run(propose_files(data, files, prune=prune))
    except (InstallationError, StoreError) as error:
        fail(str(error), as_json=as_json)
    if as_json:
        print_json(proposal)
    elif proposal.faults:
        print_faults(proposal.faults)
    else:
        print_changes(proposal.changes)
        print_consequences(proposal.consequences)
        click.echo(summarise(proposal.changes, " by `watchkeep apply`") if proposal.changes else "nothing differs")
    raise SystemExit(2 if proposal.faults else 1 if proposal.changes else 0)
