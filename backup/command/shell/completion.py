"""`bkp completion`: prints the code by which a shell completes our commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

_EPILOG = """\b
Examples (sets and restore points are completed too):
  echo 'eval "$(bkp completion bash)"' >> ~/.bashrc
  echo 'eval "$(bkp completion zsh)"' >> ~/.zshrc
  bkp completion fish > ~/.config/fish/completions/bkp.fish
"""


@click.command(epilog=_EPILOG)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what makes SHELL complete the commands and options of bkp."""
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"click has no completion for {shell}")
    click.echo(found(ctx.find_root().command, {}, "bkp", "_BKP_COMPLETE").source())
