"""`bkp key make` and `rotate`: new pairs."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from backup.command.key.places import ROLES, key_document, key_place, sheet_of
from backup.command.options import clearing, config_option, json_option, settings_of
from backup.command.telling import write_json
from backup.errors import KeyBusy, KeyMissing
from backup.keys.making import (
    gone_when_broken_off,
    make_folder,
    make_host_pair,
    make_passphrase_file,
    make_station_pair,
)
from backup.keys.ring import KeyRing

if TYPE_CHECKING:
    from pathlib import Path

    from backup.keys.key import Key
    from backup.keys.sheet import Sheet

_ROTATED = {
    "station": """
What comes next:
  1. Print the sheet (bkp key escrow --html FILE has QR codes too) and keep it beside the old one; then: bkp key confirm
  2. bkp key export station > station.asc; carry it to each host, and there: bkp key import station.asc
     A host's next run makes a new full by the new key and says so; the old one is not encrypted to any more.
  3. The old key stays here, and its sheet where it is: it opens what was saved before.
     bkp key retire says which restore points still need it, and lets it go when none does.
""",
    "host": """
What comes next, before the next run:
  1. bkp key export host > {name}.asc; carry it to the restore station, and there: bkp key import {name}.asc
     The same on the pruner, with --to pruner. Until then what is signed by the new key does not count there.
  2. The next run makes a new full, signed by the new key, and says so.
  3. bkp key retire, here and there, says which restore points still need the old key, and lets it go when none does.
""",
}


def _lifetime(days: int, *, forever: bool) -> timedelta | None:
    return None if forever else timedelta(days=days)


@click.command()
@click.argument("role", type=ROLES)
@click.option("--name", help="What the pair is called; else this machine's name in the configuration.")
@click.option("--days", type=click.IntRange(min=1), default=3 * 365, show_default=True, help="How long it is valid.")
@click.option("--forever", is_flag=True, help="It never expires.")
@json_option
@config_option
@clearing
def make(*, config: Path | None, role: str, name: str | None, days: int, forever: bool, as_json: bool) -> None:
    """Make the pair of ROLE, and its key folder and passphrase file where they are missing."""
    settings = settings_of(config)
    home, passphrase_file = key_place(settings, role)
    with gone_when_broken_off(home, passphrase_file):
        make_folder(home, is_passphrase_random=make_passphrase_file(passphrase_file))
        with KeyRing(home, passphrase_file) as ring:
            old = ring.pairs()
            if old:
                raise KeyBusy(
                    f"{home} has a pair already: {old[-1].name} {old[-1].fingerprint};"
                    f" to replace it: bkp key rotate {role}"
                )
            key = _make(ring, role, name or settings.host, _lifetime(days, forever=forever))
            sheet = sheet_of(ring, key, settings.host) if role == "station" else None
    _tell(role, home, passphrase_file, key, sheet, as_json=as_json)
    if sheet is not None and not as_json:
        click.echo("Print this now (bkp key escrow --html FILE has QR codes too), then say: bkp key confirm")


@click.command()
@click.argument("role", type=ROLES)
@click.option("--days", type=click.IntRange(min=1), default=3 * 365, show_default=True, help="How long it is valid.")
@click.option("--forever", is_flag=True, help="It never expires.")
@json_option
@config_option
@clearing
def rotate(*, config: Path | None, role: str, days: int, forever: bool, as_json: bool) -> None:
    """Make a pair that takes the place of ROLE's newest one, which stays for what was saved by it.

    It has the same name: of several keys of one name a host encrypts to the youngest, and signs with the youngest.
    """
    settings = settings_of(config)
    home, passphrase_file = key_place(settings, role)
    with KeyRing(home, passphrase_file) as ring:
        old = ring.pairs()
        if not old:
            raise KeyMissing(f"there is no pair in {home} to replace; make one with: bkp key make {role}")
        ring.check_passphrase(old[-1])
        _let_second_pass(old[-1])
        key = _make(ring, role, old[-1].plain_name, _lifetime(days, forever=forever))
        sheet = sheet_of(ring, key, settings.host) if role == "station" else None
    _tell(role, home, passphrase_file, key, sheet, as_json=as_json)
    if not as_json:
        click.echo(f"It takes the place of {old[-1].fingerprint}.")
        click.echo(_ROTATED[role].format(name=old[-1].plain_name).rstrip())


def _make(ring: KeyRing, role: str, name: str, lifetime: timedelta | None) -> Key:
    return (make_host_pair if role == "host" else make_station_pair)(ring, name, lifetime)


def _let_second_pass(key: Key) -> None:
    """Wait until a key is a second old: which of two is the younger is known by whole seconds."""
    left = (key.made_at + timedelta(seconds=1) - datetime.now(UTC)).total_seconds()
    if 0 < left <= 1:
        time.sleep(left)


def _tell(role: str, home: Path, passphrase_file: Path, key: Key, sheet: Sheet | None, *, as_json: bool) -> None:
    if as_json:
        write_json(
            {"role": role, "home": str(home), "passphrase_file": str(passphrase_file), **key_document(key, home)}
        )
        return
    click.echo(f"Made {key.name}, fingerprint {key.fingerprint}, in {home}. Its passphrase is in {passphrase_file}.")
    if sheet is not None:
        click.echo(f"\n{sheet.text}")
