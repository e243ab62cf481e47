"""The command `bkp`: a table of commands, each imported only when it is called."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any, Final, NamedTuple

try:
    import click
    from click.shell_completion import CompletionItem
except ModuleNotFoundError:
    sys.exit("bkp: the backup command is not installed here: pip install 'watchkeep[backup]'")


class Place(NamedTuple):
    """Where a command's code is, as "module:attribute", and what it does in one line."""

    code: str
    summary: str


COMMANDS: Final[dict[str, Place]] = {
    "completion": Place("backup.command.completion:completion", "Print what makes your shell complete this command."),
    "doctor": Place("backup.command.doctor:doctor", "Say what is wrong with backups here, and what to do."),
    "key": Place("backup.command.key:key_group", "Make, keep safe and exchange keys."),
    "list": Place("backup.command.list:list_command", "List sets and their restore points."),
    "ls": Place("backup.command.ls:ls", "List the files of a restore point."),
    "restore": Place("backup.command.restore:restore_command", "Bring files or a database back."),
    "run": Place("backup.command.run:run_command", "Save a set now."),
    "status": Place("backup.command.status:status", "Say how the last run of each set went."),
    "verify": Place("backup.command.verify:verify_command", "Prove that backups are as they were sent."),
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


_EPILOG: Final = """\b
Examples:
  bkp run files                                    save a set now
  bkp list                                         what can be restored
  bkp restore files --path etc/hosts --at "yesterday 18:00" --to /tmp/back
  bkp verify files --depth read                    is it as it was sent?
\b
`bkp COMMAND --help` explains a command with examples. Exit codes: docs/backup.md.
"""


@click.command(cls=LazyGroup, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="watchkeep", message="%(prog)s %(version)s")
def cli() -> None:
    """Encrypted backups with duplicity: made by the host, restored by whoever holds the key."""


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; ends the process with the command's exit code."""
    return cli.main(arguments, prog_name="bkp")


if __name__ == "__main__":
    main()
