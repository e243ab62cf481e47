"""`bkp key escrow`, `confirm` and `try`: the decryption key on paper, and whether what is there opens the backups."""

from __future__ import annotations

import shutil
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from backup.command.key.places import folders_there, key_place, sheet_of, write_private
from backup.command.options import clearing, config_option, json_option, settings_of
from backup.command.telling import write_json
from backup.errors import KeyBusy, PassphraseMissing
from backup.keys import safekeeping
from backup.keys.making import make_folder
from backup.keys.need import newest_of_name
from backup.keys.ring import KeyRing
from backup.keys.sheet import is_sheet, read_sheets
from backup.keys.trying import try_ring
from backup.runtime.private_folder import temporary_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backup.keys.key import Key


@click.command()
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a page to print, with QR codes.")
@click.option("--text", "plain", type=click.Path(dir_okay=False, path_type=Path), help="Write the text to a file.")
@click.option("--qr", is_flag=True, help="Show the QR codes on the terminal.")
@config_option
@clearing
def escrow(*, config: Path | None, html: Path | None, plain: Path | None, qr: bool) -> None:
    """Put the decryption key on paper: printable text with a checksum a line, and QR codes.

    The sheet has the secret key, locked by its passphrase, and the public keys of the hosts whose signatures count
    here. Without --html and --text it goes to standard output.
    """
    from backup.keys.sheet_page import sheet_page, terminal_codes  # noqa: PLC0415 - segno, only for this

    settings = settings_of(config)
    home, passphrase_file = key_place(settings, "station")
    with KeyRing(home, passphrase_file) as ring:
        sheets = [sheet_of(ring, key, settings.host) for key in ring.decryption_keys()]
    text = "\n\f\n".join(sheet.text for sheet in sheets)
    for file, content in ((plain, text), (html, "".join(map(sheet_page, sheets)))):
        if file is not None:
            write_private(file, content)
            click.echo(f"The sheet is in {file}. It holds the secret key: print it, then delete the file.", err=True)
    if html is None and plain is None:
        click.echo(text)
    if qr:
        for sheet in sheets:
            click.echo(terminal_codes(sheet))


@click.command()
@config_option
@clearing
def confirm(*, config: Path | None) -> None:
    """Say that the escrow sheets of the decryption keys here are safe; reminders end."""
    home, passphrase_file = key_place(settings_of(config), "station")
    with KeyRing(home, passphrase_file) as ring:
        for key in ring.decryption_keys():
            try:
                safekeeping.confirm(home, key.fingerprint, datetime.now(UTC))
            except OSError as error:
                raise KeyBusy(f"{home} cannot be written: {error.strerror}") from error
            click.echo(f"The sheet of {key.name}, {key.fingerprint}, is safe.")


@click.command("try")
@click.argument("file", type=click.File("r", encoding="utf-8", errors="replace"))
@click.option(
    "--passphrase-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A private file whose first line is the passphrase; else it is asked for on a terminal.",
)
@json_option
@config_option
@clearing
def try_command(*, config: Path | None, file: Any, passphrase_file: Path | None, as_json: bool) -> None:
    """Try the sheets in FILE (typed lines or read QR codes; - is standard input) with its passphrase.

    Nothing is brought in: a key folder is made for this alone and removed. It names mistyped lines, tells a wrong
    passphrase, decrypts something, and says what this machine's station has that is not on the sheet.
    """
    text = file.read(1 << 20)
    armoured = read_sheets(text) if is_sheet(text) else [text]
    with _folder_for_trying(passphrase_file) as (home, secret), KeyRing(home, secret) as ring:
        for each in armoured:
            ring.bring(each, may_be_secret=True)
        tried = try_ring(ring, "station", (), datetime.now(UTC))
        on_sheet = ring.keys()
    lacks = _lacking(config, on_sheet)
    if as_json:
        write_json({"tried": tried, "lacks": lacks})
        return
    for line in tried:
        click.echo(f"ok  {line}")
    for line in lacks:
        click.echo(f"bkp: {line}", err=True)
    if not lacks:
        click.echo("The sheet and its passphrase open the backups.")


def _lacking(config: Path | None, on_sheet: list[Key]) -> list[str]:
    """Return what this machine's station has that the sheet has not; nothing where there is no station."""
    found: list[str] = []
    for role, home, passphrase_file in folders_there(settings_of(config)) if config is not None else []:
        if role != "station":
            continue
        with KeyRing(home, passphrase_file) as ring:
            keys = ring.keys()
        known = {key.fingerprint for key in on_sheet}
        found += [
            f"the sheet has not the key {key.name!r} ({key.fingerprint[-16:]}): print a new one (bkp key escrow)"
            for key in keys
            if key.fingerprint not in known and key.host is not None
        ]
        youngest = newest_of_name(key for key in keys if key.has_secret)
        found += [
            f"the sheet is of an older key: what was saved after {youngest[key.name].made_at:%Y-%m-%d} needs that of"
            f" {youngest[key.name].fingerprint[-16:]}"
            for key in on_sheet
            if key.name in youngest and youngest[key.name].fingerprint not in known
        ]
    return found


@contextmanager
def _folder_for_trying(passphrase_file: Path | None) -> Iterator[tuple[Path, Path]]:
    """Yield a private key folder and a passphrase file; the folder is gone afterwards, a typed passphrase with it."""
    with temporary_folder("bkp-try-") as folder:  # short: gpg's sockets have to fit into it
        home, secret = folder / "keys", passphrase_file or folder / "passphrase"
        make_folder(home, is_passphrase_random=True)  # it is gone in a moment: stretching would only cost time
        if passphrase_file is None:
            if not sys.stdin.isatty() or not sys.stderr.isatty():
                raise PassphraseMissing("there is no terminal to ask for the passphrase: name --passphrase-file")
            secret.touch(mode=0o600)
            secret.write_text(
                click.prompt("Passphrase of the sheet", hide_input=True, err=True) + "\n", encoding="utf-8"
            )
        try:
            yield home, secret
        finally:
            shutil.rmtree(home, ignore_errors=True)  # the agent that ends takes its sockets away meanwhile
