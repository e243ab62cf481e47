"""The command line: a table of commands, each imported only when it is called."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any, Final, NamedTuple

try:
    import click
    from click.shell_completion import CompletionItem
except ModuleNotFoundError:
    sys.exit("watchkeep: the command line is not installed here: pip install 'watchkeep[server]'")


class Place(NamedTuple):
    """Where a command's code is, as "module:attribute", and what it does in one line."""

    code: str
    summary: str


COMMANDS: Final[dict[str, Place]] = {
    "agent": Place("watchkeep.agent:agent_command", "Run the agent of this host."),
    "audit": Place("watchkeep.audit:audit_command", "Show who did what; verify the log."),
    "doctor": Place("watchkeep.doctor:doctor", "Say what is wrong with an installation."),
    "enrol": Place("watchkeep.enrol:enrol_group", "Let machines in that nobody knows yet."),
    "key": Place("watchkeep.key:key_group", "Say which keys may speak."),
    "password": Place("watchkeep.password:password_command", "Set a user's password anew."),
    "proxy": Place("watchkeep.proxy:proxy_command", "Run a proxy."),
    "server": Place("watchkeep.server:server_command", "Run a server, active or standby."),
    "token": Place("watchkeep.token:token_group", "Let programs use the REST API."),
    "up": Place("watchkeep.up.command:up_command", "Watch this machine: everything with one command."),
    "user": Place("watchkeep.user:user_group", "Say who may sign in, as what, for which hosts."),
    "apply": Place("watchkeep.apply:apply", "Make templates, hosts and receivers of files hold."),
    "completion": Place("watchkeep.completion:completion", "Print what makes your shell complete this command."),
    "diff": Place("watchkeep.diff:diff", "Show what `apply` would change."),
}


class LazyGroup(click.Group):
    """A group whose commands are listed, completed and explained from the table without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of all commands."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import a command; None when there is none of that name."""
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.code.partition(":")
        command = getattr(import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{place.code} is not a command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the list of commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name].summary) for name in sorted(COMMANDS)])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command's name."""
        found = [
            CompletionItem(name, help=COMMANDS[name].summary)
            for name in sorted(COMMANDS)
            if name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)


@click.command(
    cls=LazyGroup,
    epilog="`watchkeep COMMAND --help` explains a command with examples.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="watchkeep", message="%(prog)s %(version)s")
def cli() -> None:
    """Watch a cloud and keep its data."""


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; ends the process with the command's exit code."""
    return cli.main(arguments, prog_name="watchkeep")


if __name__ == "__main__":
    main()
