"""`bkp key`: makes keys, brings them to each other, puts them on paper and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from backup.command.options import config_option, ending, json_option, passphrase_beside, settings_of
from backup.command.telling import console, instant, local, write_json
from backup.errors import ConfigInvalid, DestinationInUse, KeyBusy, KeyMissing
from backup.keys import safekeeping
from backup.keys.making import make_folder, make_host_pair, make_passphrase_file, make_station_pair
from backup.keys.ring import KeyRing
from backup.keys.sheet import draw_up, is_sheet, read_sheet
from backup.keys.trying import try_ring

if TYPE_CHECKING:
    from backup.keys.key import Key
    from backup.keys.sheet import Sheet
    from backup.settings import BackupSettings

_ROLES = click.Choice(["station", "host"])
_READERS = click.Choice(["station", "host", "pruner"])
_EPILOG = """\b
A backup needs two pairs of keys:
  station   decrypts. Lives on the restore station and on its escrow sheet, never on a backed-up host.
  host      signs. Lives on the host; whoever has it cannot read a backup.
A pruner, which deletes old backups, has none: it is brought the hosts' public keys.
\b
The first time:
  bkp key make station              on the restore station; prints the escrow sheet
  bkp key confirm                   when the sheet is safe
  bkp key export station > s.asc    public; carry it to each host
  bkp key make host                 on the host
  bkp key import s.asc              on the host
  bkp key export host > h.asc       public; carry it to the restore station, and there: bkp key import h.asc
  bkp key import h.asc --to pruner  on the pruner
"""


@click.group("key", epilog=_EPILOG)
def key_group() -> None:
    """Make, keep safe and exchange keys."""


@key_group.command()
@click.argument("role", type=_ROLES)
@click.option("--name", help="What the pair is called; else this machine's name in the configuration.")
@click.option("--days", type=click.IntRange(min=1), default=3 * 365, show_default=True, help="How long it is valid.")
@click.option("--forever", is_flag=True, help="It never expires.")
@click.option("--renew", is_flag=True, help="Make another one although there is one.")
@json_option
@config_option
@ending
def make(  # noqa: PLR0913 - one parameter an option
    *, config: Path | None, role: str, name: str | None, days: int, forever: bool, renew: bool, as_json: bool
) -> None:
    """Make the pair of ROLE, and its key folder and passphrase file where they are missing."""
    settings = settings_of(config)
    home, passphrase_file = _places(settings, role)
    make_folder(home, is_passphrase_random=make_passphrase_file(passphrase_file))
    lifetime = None if forever else timedelta(days=days)
    with KeyRing(home, passphrase_file) as ring:
        old = ring.pairs()
        if old and not renew:
            raise KeyBusy(f"{home} has a pair already: {old[-1].name} {old[-1].fingerprint}; another one: --renew")
        key = (make_host_pair if role == "host" else make_station_pair)(ring, name or settings.host, lifetime)
        sheet = _sheet(ring, key, settings.host) if role == "station" else None
    if as_json:
        write_json({"role": role, "home": str(home), "passphrase_file": str(passphrase_file), **_document(key, home)})
        return
    click.echo(f"Made {key.name}, fingerprint {key.fingerprint}, in {home}. Its passphrase is in {passphrase_file}.")
    if sheet is not None:
        click.echo(f"\n{sheet.text}")
        click.echo("Print this now (bkp key escrow --html FILE has QR codes too), then say: bkp key confirm")


@key_group.command("import")
@click.argument("file", type=click.File("r", encoding="utf-8", errors="replace"))
@click.option("--to", "role", type=_READERS, help="Whose folder; else the one of this machine's configuration.")
@click.option(
    "--key",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="A restore station's key folder, made if it is not there; needs no configuration.",
)
@json_option
@config_option
@ending
def import_command(*, config: Path | None, file: Any, role: str | None, folder: Path | None, as_json: bool) -> None:
    """Take in the keys of FILE (- is standard input): public keys, or at a restore station an escrow sheet's text.

    Compare the fingerprint that is printed with the one at the key's home: whoever can change FILE on its way could put
    a key of his own there.
    """
    if folder is not None:
        if role in ("host", "pruner"):
            raise click.UsageError("--key names a restore station's folder: leave --to out")
        role, home, passphrase_file = "station", folder.absolute(), passphrase_beside(folder)
    else:
        settings = settings_of(config)
        role = role or ("station" if settings.keys.station else "pruner" if settings.pruner else "host")
        home, passphrase_file = _places(settings, role)
    text = file.read(1 << 20)
    armoured = read_sheet(text) if is_sheet(text) else text
    make_folder(home)
    with KeyRing(home, passphrase_file) as ring:
        brought = ring.bring(armoured, may_be_secret=role == "station")
        for key in brought:
            if key.has_secret and passphrase_file.exists():
                ring.check_passphrase(key)
    if as_json:
        write_json({"role": role, "home": str(home), "keys": [_document(key, home) for key in brought]})
        return
    for key in brought:
        click.echo(f"{key.name}, fingerprint {key.fingerprint}, is in {home} now.")
        if key.has_secret and not passphrase_file.exists():
            then = "bkp key test" if folder is None else f"bkp list --target BACKUPS --key {folder}"
            click.echo(f"Put its passphrase into {passphrase_file} (chmod 600), then: {then}")


@key_group.command()
@click.argument("role", type=_ROLES)
@config_option
@ending
def export(*, config: Path | None, role: str) -> None:
    """Write the public keys of ROLE's pairs to standard output, armoured."""
    home, passphrase_file = _places(settings_of(config), role)
    with KeyRing(home, passphrase_file) as ring:
        own = ring.pairs()
        if not own:
            raise KeyMissing(f"there is no pair in {home}; make one with: bkp key make {role}")
        for key in own:
            click.echo(ring.export_public(key), nl=False)


@key_group.command()
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a page to print, with QR codes.")
@click.option("--text", "plain", type=click.Path(dir_okay=False, path_type=Path), help="Write the text to a file.")
@click.option("--qr", is_flag=True, help="Show the QR codes on the terminal.")
@config_option
@ending
def escrow(*, config: Path | None, html: Path | None, plain: Path | None, qr: bool) -> None:
    """Put the decryption key on paper: printable text with a checksum a line, and QR codes.

    The sheet has the secret key, locked by its passphrase, and the public keys of the hosts whose signatures count
    here. Without --html and --text it goes to standard output.
    """
    from backup.keys.sheet_page import sheet_page, terminal_codes  # noqa: PLC0415 - segno, only for this

    settings = settings_of(config)
    home, passphrase_file = _places(settings, "station")
    with KeyRing(home, passphrase_file) as ring:
        sheets = [_sheet(ring, key, settings.host) for key in ring.decryption_keys()]
    text = "\n\f\n".join(sheet.text for sheet in sheets)
    for file, content in ((plain, text), (html, "".join(map(sheet_page, sheets)))):
        if file is not None:
            _write_private(file, content)
            click.echo(f"The sheet is in {file}. It holds the secret key: print it, then delete the file.", err=True)
    if html is None and plain is None:
        click.echo(text)
    if qr:
        for sheet in sheets:
            click.echo(terminal_codes(sheet))


@key_group.command()
@config_option
@ending
def confirm(*, config: Path | None) -> None:
    """Say that the escrow sheets of the decryption keys here are safe; reminders end."""
    home, passphrase_file = _places(settings_of(config), "station")
    with KeyRing(home, passphrase_file) as ring:
        for key in ring.decryption_keys():
            try:
                safekeeping.confirm(home, key.fingerprint, datetime.now(UTC))
            except OSError as error:
                raise KeyBusy(f"{home} cannot be written: {error.strerror}") from error
            click.echo(f"The sheet of {key.name}, {key.fingerprint}, is safe.")


@key_group.command("list")
@json_option
@config_option
@ending
def list_command(*, config: Path | None, as_json: bool) -> None:
    """List the keys of this machine's key folders."""
    from rich.table import Column, Table  # noqa: PLC0415 - slow to import

    found: list[tuple[str, Path, Key]] = []
    told: list[str] = []
    now = datetime.now(UTC)
    for role, home, passphrase_file in _there(settings_of(config)):
        with KeyRing(home, passphrase_file) as ring:
            keys = ring.keys()
        found += [(role, home, key) for key in keys]
        told += safekeeping.reminders(home, keys, now)
    if as_json:
        write_json({"keys": [{"role": role, **_document(key, home)} for role, home, key in found], "reminders": told})
        return
    table = Table("folder", "key", Column("fingerprint", no_wrap=True), "does", "secret", "expires")
    for role, _, key in found:
        does = " ".join(word for word, can in (("signs", key.can_sign), ("decrypts", key.can_encrypt)) if can)
        expires = "never" if key.expires_at is None else local(key.expires_at)
        table.add_row(role, key.name, key.fingerprint, does, "here" if key.has_secret else "-", expires)
    console().print(table)
    for line in told:
        click.echo(f"bkp: {line}", err=True)


@key_group.command()
@json_option
@config_option
@ending
def test(*, config: Path | None, as_json: bool) -> None:
    """Try every key: its passphrase opens it, it signs, it decrypts, it has not expired, it is where it may be.

    Ends with the exit code of the first thing that is wrong.
    """
    settings = settings_of(config)
    rings = _there(settings)
    if not rings:
        raise KeyMissing("there is no key folder yet; begin with: bkp key make")
    now = datetime.now(UTC)
    done: list[str] = []
    told: list[str] = []
    for role, home, passphrase_file in rings:
        with KeyRing(home, passphrase_file) as ring:
            done += try_ring(ring, role, settings.keys.recipients, now)
            told += safekeeping.reminders(home, ring.keys(), now)
    if as_json:
        write_json({"tried": done, "reminders": told})
        return
    for line in done:
        click.echo(f"ok  {line}")
    for line in told:
        click.echo(f"bkp: {line}", err=True)


def _sheet(ring: KeyRing, key: Key, host: str) -> Sheet:
    signers = {each: ring.export_public(each) for each in ring.keys() if each.host and each.can_sign}  # noqa: SIM118 - a ring, no dictionary
    return draw_up(key, ring.export_secret(key), host, ring.passphrase_file, signers)


def _places(settings: BackupSettings, role: str) -> tuple[Path, Path]:
    """Return a role's key folder and passphrase file. Raises ConfigInvalid where there is no station here."""
    keys = settings.keys
    if role == "host":
        return keys.host, keys.host_passphrase_file
    if role == "pruner":
        folder = settings.demand_pruner().keys
        return folder, passphrase_beside(folder)  # no secret is there for it to open
    if keys.station is None:
        raise ConfigInvalid("this machine is no restore station: set keys.station to its key folder in backup.toml")
    return keys.station, keys.station_passphrase_file


def _there(settings: BackupSettings) -> list[tuple[str, Path, Path]]:
    roles = ["host", *(["station"] if settings.keys.station else []), *(["pruner"] if settings.pruner else [])]
    found = [(role, *_places(settings, role)) for role in roles]
    return [each for each in found if each[1].is_dir()]


def _document(key: Key, home: Path) -> dict[str, Any]:
    return {
        "name": key.name,
        "fingerprint": key.fingerprint,
        "made_at": instant(key.made_at),
        "expires_at": instant(key.expires_at),
        "has_secret": key.has_secret,
        "can_sign": key.can_sign,
        "can_encrypt": key.can_encrypt,
        "sheet_confirmed_at": safekeeping.confirmed(home).get(key.fingerprint),
    }


def _write_private(file: Path, text: str) -> None:
    try:
        file.touch(mode=0o600, exist_ok=False)
        file.write_text(text, encoding="utf-8")
    except FileExistsError as error:
        raise DestinationInUse(f"{file} is there already") from error
    except OSError as error:
        raise DestinationInUse(f"{file} cannot be written: {error.strerror}") from error
