"""The command `bkp`: a table of commands, each imported only when it is called."""

from __future__ import annotations

import gc
import os
import sys
from typing import Any, Final

gc.set_threshold(20_000)  # what is imported stays: looking through it for garbage was a tenth of a command's start

try:
    import click

    from core.runtime.lazy_commands import LazyGroup, Place
    from core.runtime.reading_right import put_away
except ModuleNotFoundError:
    sys.exit("bkp: the backup command is not installed here: pip install 'watchkeep[backup]'")


COMMANDS: Final[dict[str, Place]] = {
    "binlog": Place("backup.command.binlog:binlog_group", "Archive binary logs of MariaDB and MySQL, look at them."),
    "cancel": Place("backup.command.cancel:cancel", "End a run that goes on; it leaves nothing."),
    "completion": Place(
        "backup.command.shell.completion:completion", "Print what makes your shell complete this command."
    ),
    "diff": Place("backup.command.diff:diff", "Say what changed between restore points, or since one in a folder."),
    "doctor": Place("backup.command.doctor.command:doctor", "Say what is wrong with backups here, and what to do."),
    "drill": Place("backup.command.drill:drill_command", "Prove restore points by restoring them aside."),
    "find": Place("backup.command.find:find", "Say which restore points hold a file."),
    "hold": Place("backup.command.hold:hold_group", "Keep backups from being deleted, whatever retention says."),
    "key": Place("backup.command.key.group:key_group", "Make, keep safe, exchange and replace keys."),
    "list": Place("backup.command.list:list_command", "List sets and their restore points."),
    "ls": Place("backup.command.ls:ls", "List the files of a restore point."),
    "man": Place("backup.command.shell.man:man", "Show the manual page."),
    "predict": Place("backup.command.predict:predict_command", "Say how long restores will take."),
    "prune": Place("backup.command.prune:prune_command", "Delete what retention lets go."),
    "restore": Place("backup.command.restore:restore_command", "Bring files or a database back."),
    "run": Place("backup.command.run:run_command", "Save sets now."),
    "sample": Place("backup.command.shell.sample:sample", "Print a backup.toml that has every setting."),
    "sets": Place("backup.command.sets:sets", "List what is saved: sets, sources, schedules, targets."),
    "status": Place("backup.command.status:status", "Say how the last run of each set went."),
    "verify": Place("backup.command.verify:verify_command", "Prove that backups are as they were sent."),
    "wal": Place("backup.command.wal:wal_group", "Archive a PostgreSQL cluster's WAL, fetch it, look at it."),
}


_NOT_BY_OTHERS: Final = 0o022
_EPILOG: Final = """\b
Examples:
  bkp run files shop               save these sets now; --all: every one
  bkp list                         what can be restored
  bkp find nginx.conf              which restore points hold it
  bkp restore files --path etc/hosts --at "yesterday 18:00" --to /tmp/back
  bkp verify files --depth read    is it as it was sent?
  bkp prune --dry-run              what would go, what stays, and why

`bkp COMMAND --help` explains a command with examples. Exit codes: `bkp man`.
"""


@click.command(cls=LazyGroup, places=COMMANDS, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="watchkeep", message="%(prog)s %(version)s")
def cli() -> None:
    """Encrypted backups with duplicity: made by the host, restored by whoever holds the key."""


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; ends the process with the command's exit code.

    Whatever umask it was given, nothing it makes can be changed by others; the right to read every file is put away.
    """
    put_away()
    os.umask(os.umask(_NOT_BY_OTHERS) | _NOT_BY_OTHERS)
    return cli.main(arguments, prog_name="bkp")


if __name__ == "__main__":
    main()
