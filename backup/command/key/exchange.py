"""`bkp key import`, `export`, `list` and `test`: keys as they lie on this machine, and their way to others."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from backup.command.key.places import READERS, ROLES, folders_there, key_document, key_place
from backup.command.options import clearing, config_option, json_option, passphrase_beside, settings_of
from backup.command.telling import local, write_json
from backup.errors import KeyMissing
from backup.keys import safekeeping
from backup.keys.making import gone_when_broken_off, make_folder
from backup.keys.ring import KeyRing
from backup.keys.sheet import is_sheet, read_sheets
from backup.keys.trying import try_ring

if TYPE_CHECKING:
    from backup.keys.key import Key


@click.command("import")
@click.argument("file", type=click.File("r", encoding="utf-8", errors="replace"))
@click.option("--to", "role", type=READERS, help="Whose folder; else the one of this machine's configuration.")
@click.option(
    "--key",
    "--keys",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="A restore station's key folder, made if it is not there; needs no configuration.",
)
@json_option
@config_option
@clearing
def import_command(*, config: Path | None, file: Any, role: str | None, folder: Path | None, as_json: bool) -> None:
    """Take in the keys of FILE (- is standard input): public keys, or at a restore station the text of escrow sheets.

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
        home, passphrase_file = key_place(settings, role)
    text = file.read(1 << 20)
    armoured = read_sheets(text) if is_sheet(text) else [text]
    with gone_when_broken_off(home, passphrase_file):
        make_folder(home)
        with KeyRing(home, passphrase_file) as ring:
            found = [key for each in armoured for key in ring.bring(each, may_be_secret=role == "station")]
            brought = list({key.fingerprint: key for key in found}.values())
            for key in brought:
                if key.has_secret and passphrase_file.exists():
                    ring.check_passphrase(key)
    if as_json:
        write_json({"role": role, "home": str(home), "keys": [key_document(key, home) for key in brought]})
        return
    for key in brought:
        click.echo(f"{key.name}, fingerprint {key.fingerprint}, is in {home} now.")
        if key.has_secret and not passphrase_file.exists():
            then = "bkp key test" if folder is None else f"bkp list --target BACKUPS --key {folder}"
            click.echo(f"Put its passphrase into {passphrase_file} (chmod 600), then: {then}")


@click.command()
@click.argument("role", type=ROLES)
@config_option
@clearing
def export(*, config: Path | None, role: str) -> None:
    """Write the public keys of ROLE's pairs to standard output, armoured."""
    home, passphrase_file = key_place(settings_of(config), role)
    with KeyRing(home, passphrase_file) as ring:
        own = ring.pairs()
        if not own:
            raise KeyMissing(f"there is no pair in {home}; make one with: bkp key make {role}")
        for key in own:
            click.echo(ring.export_public(key), nl=False)


@click.command("list")
@json_option
@config_option
@clearing
def list_command(*, config: Path | None, as_json: bool) -> None:
    """List the keys of this machine's key folders."""
    found: list[tuple[str, Path, Key]] = []
    told: list[str] = []
    now = datetime.now(UTC)
    for role, home, passphrase_file in folders_there(settings_of(config)):
        with KeyRing(home, passphrase_file) as ring:
            keys = ring.keys()
        found += [(role, home, key) for key in keys]
        told += safekeeping.reminders(home, keys, now)
    if as_json:
        write_json(
            {"keys": [{"role": role, **key_document(key, home)} for role, home, key in found], "reminders": told}
        )
        return
    for _, home, key in found:
        is_signing, is_decrypting = key.can_sign and key.host is not None, key.can_encrypt
        does = " and ".join(word for word, can in (("signs", is_signing), ("decrypts", is_decrypting)) if can)
        secret = "its secret key is here" if key.has_secret else "the public key only"
        expires = "never expires" if key.expires_at is None else f"expires {local(key.expires_at)}"
        click.echo(f"{key.fingerprint}  {key.name}")
        click.echo(f"    {does}; {secret}, in {home}; {expires}")
    for line in told:
        click.echo(f"bkp: {line}", err=True)


@click.command()
@json_option
@config_option
@clearing
def test(*, config: Path | None, as_json: bool) -> None:
    """Try every key: its passphrase opens it, it signs, it decrypts, it has not expired, it is where it may be.

    Ends with the exit code of the first thing that is wrong.
    """
    settings = settings_of(config)
    rings = folders_there(settings)
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
