"""The command line: a table of commands, each imported only when it is called."""

from __future__ import annotations

import sys
from typing import Any, Final

try:
    import click

    from core.runtime.lazy_commands import LazyGroup, Place
    from core.runtime.reading_right import put_away
except ModuleNotFoundError:
    sys.exit("watchkeep: the command line is not installed here: pip install 'watchkeep[server]'")


COMMANDS: Final[dict[str, Place]] = {
    "agent": Place("watchkeep.agent:agent_command", "Run the agent of this host."),
    "audit": Place("watchkeep.audit:audit_command", "Show who did what; verify the log."),
    "backup": Place("watchkeep.backup:backup_group", "Have a host save one of its sets now."),
    "balance": Place("watchkeep.balance:balance_command", "Show which proxy serves which source, and why."),
    "coverage": Place("watchkeep.coverage:coverage_group", "Show which hosts are not backed up; waive them."),
    "doctor": Place("watchkeep.doctor:doctor", "Say what is wrong with an installation."),
    "enrol": Place("watchkeep.enrol:enrol_group", "Let machines in that nobody knows yet."),
    "history": Place("watchkeep.history:history_group", "Export and import samples and trends."),
    "key": Place("watchkeep.key:key_group", "Say which keys may speak."),
    "password": Place("watchkeep.password:password_command", "Set a user's password anew."),
    "proxy": Place("watchkeep.proxy:proxy_command", "Run a proxy."),
    "rebuild": Place("watchkeep.up.rebuild:rebuild_command", "Make the database anew from a restored backup."),
    "tail": Place("watchkeep.tail:tail_command", "Show values as they are stored."),
    "server": Place("watchkeep.server:server_command", "Run a server, active or standby."),
    "token": Place("watchkeep.token:token_group", "Let programs use the REST API."),
    "up": Place("watchkeep.up.command:up_command", "Watch this machine: everything with one command."),
    "user": Place("watchkeep.user:user_group", "Say who may sign in, as what, for which hosts."),
    "apply": Place("watchkeep.apply:apply", "Make templates, hosts and receivers of files hold."),
    "completion": Place("watchkeep.completion:completion", "Print what makes your shell complete this command."),
    "diff": Place("watchkeep.diff:diff", "Show what `apply` would change."),
}


_EPILOG: Final = """\b
Examples:
  watchkeep up                        watch this machine: all with one command
  watchkeep doctor                    what is wrong with an installation?
  watchkeep apply definitions/        templates, hosts, receivers from files

`watchkeep COMMAND --help` explains a command with examples.
"""


@click.command(
    cls=LazyGroup,
    places=COMMANDS,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="watchkeep", message="%(prog)s %(version)s")
def cli() -> None:
    """Watch a cloud and keep its data."""


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; ends the process with the command's exit code."""
    put_away()
    return cli.main(arguments, prog_name="watchkeep")


if __name__ == "__main__":
    main()
