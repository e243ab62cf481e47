"""Which key folders this machine has, and how keys are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from backup.command.options import passphrase_beside
from backup.command.telling import instant
from backup.errors import ConfigInvalid, DestinationInUse
from backup.keys import safekeeping
from backup.keys.sheet import draw_up

if TYPE_CHECKING:
    from pathlib import Path

    from backup.keys.key import Key
    from backup.keys.ring import KeyRing
    from backup.keys.sheet import Sheet
    from backup.settings.document import BackupSettings

ROLES: Final = click.Choice(["station", "host"])
READERS: Final = click.Choice(["station", "host", "pruner"])


def key_place(settings: BackupSettings, role: str) -> tuple[Path, Path]:
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


def folders_there(settings: BackupSettings) -> list[tuple[str, Path, Path]]:
    """Return role, key folder and passphrase file of each role this machine has."""
    roles = ["host", *(["station"] if settings.keys.station else []), *(["pruner"] if settings.pruner else [])]
    found = [(role, *key_place(settings, role)) for role in roles]
    return [each for each in found if each[1].is_dir()]


def key_document(key: Key, home: Path) -> dict[str, Any]:
    """Return a key for programs."""
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


def sheet_of(ring: KeyRing, key: Key, host: str) -> Sheet:
    """Return the escrow sheet of a key, with the public keys of the hosts the ring trusts."""
    signers = {each: ring.export_public(each) for each in ring.keys() if each.host and each.can_sign}  # noqa: SIM118 - a ring, no dictionary
    return draw_up(key, ring.export_secret(key), host, ring.passphrase_file, signers)


def write_private(file: Path, text: str) -> None:
    """Write a new file that only its owner may read. Raises DestinationInUse."""
    try:
        file.touch(mode=0o600, exist_ok=False)
        file.write_text(text, encoding="utf-8")
    except FileExistsError as error:
        raise DestinationInUse(f"{file} is there already") from error
    except OSError as error:
        raise DestinationInUse(f"{file} cannot be written: {error.strerror}") from error
