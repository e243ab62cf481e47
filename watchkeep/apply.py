"""`watchkeep apply`: makes what files define hold."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from server.inventory import apply as inventory
from server.store.definitions import Author
from server.store.errors import StoreError
from watchkeep.caller import actor_name, author_name
from watchkeep.command_options import data_option, fail, json_option
from watchkeep.definition_files import open_database, propose_files
from watchkeep.installation import InstallationError
from watchkeep.proposal_text import print_changes, print_consequences, print_faults, print_json, summarise

if TYPE_CHECKING:
    from pathlib import Path

_EPILOG = """\b
Examples:
  watchkeep apply definitions/            all .yaml files of a folder
  watchkeep apply --prune definitions/    and delete what no file defines
  watchkeep apply --overwrite linux.yaml  also over what the page changed
  generate-hosts | watchkeep apply -      from the standard input

Exit codes: 0 everything holds, 2 a fault; then nothing was changed.
"""


class _WouldOverwrite(Exception):
    pass


@click.command(epilog=_EPILOG)
@click.argument("files", nargs=-1, required=True, type=click.Path(allow_dash=True))
@click.option("--prune", is_flag=True, help="Delete what earlier files defined and these do not.")
@click.option("--overwrite", is_flag=True, help="Replace also what was changed on the page since.")
@json_option
@data_option
def apply(files: tuple[str, ...], *, prune: bool, overwrite: bool, as_json: bool, data: Path | None) -> None:
    """Make templates, hosts and receivers of FILES hold.

    FILES are YAML files, folders of them, or - for the standard input. All of them are checked first; with any fault
    nothing is changed. What was changed on the page since is not overwritten unless you say so.
    """
    try:
        proposal, revision = asyncio.run(_apply(data, files, prune=prune, overwrite=overwrite))
    except (InstallationError, StoreError, inventory.DefinitionsMoved, _WouldOverwrite) as error:
        fail(str(error), as_json=as_json)
    if as_json:
        print_json(proposal, revision=revision)
    elif proposal.faults:
        print_faults(proposal.faults)
    else:
        print_changes(proposal.changes)
        print_consequences(proposal.consequences)
        click.echo(summarise(proposal.changes, f"; revision {revision}") if proposal.changes else "nothing to change")
    raise SystemExit(2 if proposal.faults else 0)


async def _apply(
    data: Path | None, files: tuple[str, ...], *, prune: bool, overwrite: bool
) -> tuple[inventory.Proposal, int]:
    """Return what was done and the revision it made; with faults nothing was done."""
    proposal = await propose_files(data, files, prune=prune)
    if proposal.faults:
        return proposal, proposal.revision
    if proposal.overwriting and not overwrite:
        told = "; ".join(f"{c.kind} {c.name} by {c.overwrites}" for c in proposal.overwriting)
        raise _WouldOverwrite(
            f"changed on the page since: {told}. Nothing was changed. Look with `watchkeep diff`, bring what you"
            " want to keep into the files, then apply with --overwrite"
        )
    async with open_database(data) as database:
        author = Author(name=author_name(), via="file")
        return proposal, await inventory.apply(database, proposal, author, audit_as=actor_name("apply"))
