"""`watchkeep agent`: becomes the agent's own light program."""

from __future__ import annotations

import os
import sys

import click


@click.command(
    "agent",
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
    add_help_option=False,
)
@click.pass_context
def agent_command(context: click.Context) -> None:
    """Run the agent of this host: the same as the program watchkeep-agent, which loads less."""
    os.execv(sys.executable, [sys.executable, "-m", "agent", *context.args])  # noqa: S606 - the same interpreter, no shell
