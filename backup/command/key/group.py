"""The commands of `bkp key`, each imported only when it is called."""

from __future__ import annotations

from typing import Final

import click

from core.runtime.lazy_commands import LazyGroup, Place

_ROOM: Final = "backup.command.key"
COMMANDS: Final[dict[str, Place]] = {
    "confirm": Place(f"{_ROOM}.paper:confirm", "Say that the escrow sheets are safe; reminders end."),
    "escrow": Place(f"{_ROOM}.paper:escrow", "Put the decryption key on paper."),
    "export": Place(f"{_ROOM}.exchange:export", "Write public keys to standard output."),
    "import": Place(f"{_ROOM}.exchange:import_command", "Take in public keys, or a sheet's text."),
    "list": Place(f"{_ROOM}.exchange:list_command", "List the keys of this machine."),
    "make": Place(f"{_ROOM}.making:make", "Make a pair, its key folder and its passphrase file."),
    "retire": Place(f"{_ROOM}.life:retire", "Say which restore points need which key; let one go that none needs."),
    "rotate": Place(f"{_ROOM}.making:rotate", "Make a pair that takes the place of the one there is."),
    "test": Place(f"{_ROOM}.exchange:test", "Try every key of this machine."),
    "try": Place(f"{_ROOM}.paper:try_command", "Try a sheet that was typed or scanned, without bringing it in."),
}

_EPILOG = """\b
A backup needs two pairs of keys:
  station   decrypts. Lives on the restore station and on its escrow sheet,
            never on a backed-up host.
  host      signs. Lives on the host; whoever has it cannot read a backup.

A pruner, which deletes old backups, has none: it is brought the hosts' public keys.

\b
Examples, the first time:
  bkp key make station              on the restore station; prints its sheet
  bkp key confirm                   when the sheet is safe
  bkp key export station > s.asc    public; carry it to each host
  bkp key make host                 on the host
  bkp key import s.asc              on the host
  bkp key export host > h.asc       public; carry it to the restore station
  bkp key import h.asc              on the restore station
  bkp key import h.asc --to pruner  on the pruner

\b
Later:
  bkp key test              on every machine: would a backup or restore work?
  bkp key try SHEET         does what was typed from paper open the backups?
  bkp key rotate station    a new pair; the old one still decrypts
  bkp key retire            which restore points need which key
"""


@click.group("key", cls=LazyGroup, places=COMMANDS, epilog=_EPILOG)
def key_group() -> None:
    """Make, keep safe, exchange and replace keys."""
