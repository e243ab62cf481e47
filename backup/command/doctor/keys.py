"""What `bkp doctor` says of the keys of a host and of a restore station; a pruner has none of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backup.command.doctor.finding import Finding
from backup.command.sets import source_named
from backup.errors import BackupError, KeyExpired, KeyForbidden, KeyMissing, PassphraseMissing, PassphraseWrong
from backup.keys.ring import KeyRing
from backup.keys.safekeeping import reminders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from backup.settings.document import BackupSettings

_STATION_KEY = (
    "on the station: bkp key export station > station.asc (after bkp key rotate station, where that one has expired);"
    " here: bkp key import station.asc"
)


def examine_keys(settings: BackupSettings, now: datetime) -> Iterator[Finding]:
    """Yield how the keys are that this machine needs for its part."""
    keys = settings.keys
    if keys.host.exists():
        file = keys.host_passphrase_file
        yield from _try("host keys", lambda: _signing(settings, now), lambda error: host_remedy(error, file))
        yield from _try("encryption keys", lambda: _recipients(settings, now), lambda _: _STATION_KEY)
        yield from _reminders("host keys", keys.host, file, now)
    elif keys.station is None and settings.pruner is None:
        yield Finding(what="keys", level="fault", text=f"{keys.host} is not there", remedy="bkp key make host")
    if keys.station is not None:
        file = keys.station_passphrase_file
        yield from _try("station keys", lambda: _station(settings), lambda error: station_remedy(error, file))
        yield from _reminders("station keys", keys.station, file, now)
        if any(source_named(each) is not None for each in settings.sets):
            yield Finding(what="station keys", level="warning",
                          text="sets are saved here as well: whoever breaks into this machine can read every backup",
                          remedy="keep them on another machine, or give it a configuration of its own")  # fmt: skip


def host_remedy(error: BackupError, passphrase_file: Path) -> str:
    """Return what to do about a host's signing pair, by what is in the way."""
    match error:
        case PassphraseMissing() | PassphraseWrong():
            return (
                f"put the passphrase of the pair into {passphrase_file} (its first line, chmod 600); where it is lost,"
                " move key folder and file away, then: bkp key make host"
            )
        case KeyExpired():
            return "bkp key rotate host"
        case KeyForbidden():
            return "move it to the restore station: a host must not be able to read its backups"
        case KeyMissing():
            return "bkp key make host"
        case _:
            return "mend what it names"


def station_remedy(error: BackupError, passphrase_file: Path) -> str:
    """Return what to do about a station's decryption pair, by what is in the way."""
    match error:
        case PassphraseMissing() | PassphraseWrong():
            return (
                f"put the passphrase of the pair into {passphrase_file} (its first line, chmod 600): it stands on the"
                " escrow sheet, or on paper apart from it"
            )
        case KeyMissing():
            return (
                "bring the pair back from its escrow sheet: bkp key import SHEET; the first one: bkp key make station"
            )
        case _:
            return "mend what it names"


def _signing(settings: BackupSettings, now: datetime) -> str:
    with KeyRing(settings.keys.host, settings.keys.host_passphrase_file) as ring:
        ring.demand_no_decryption_key()
        signing = ring.signing_key(now)
        ring.check_passphrase(signing)
    return f"signs as {signing.name}"


def _recipients(settings: BackupSettings, now: datetime) -> str:
    with KeyRing(settings.keys.host, settings.keys.host_passphrase_file) as ring:
        recipients = ring.recipients(settings.keys.recipients, now)
    return f"encrypts to {', '.join(each.name for each in recipients)}"


def _station(settings: BackupSettings) -> str:
    station = settings.keys.station
    if station is None:
        raise KeyMissing("there is no station here")
    with KeyRing(station, settings.keys.station_passphrase_file) as ring:
        for key in ring.decryption_keys():
            ring.check_passphrase(key)
        hosts = sorted(ring.signers())
    return f"decrypts; trusts the signatures of {', '.join(hosts) or 'no host yet'}"


def _reminders(what: str, home: Path, passphrase: Path, now: datetime) -> Iterator[Finding]:
    try:
        with KeyRing(home, passphrase) as ring:
            found = reminders(home, ring.keys(), now)
    except BackupError:
        return  # told already
    for text in found:
        told, _, remedy = text.partition("; ")
        yield Finding(what=what, level="warning", text=told, remedy=remedy or "replace it: bkp key rotate --help")


def _try(what: str, look: Callable[[], str], remedy: Callable[[BackupError], str]) -> Iterator[Finding]:
    try:
        yield Finding(what=what, level="ok", text=look())
    except BackupError as error:
        yield Finding(what=what, level="fault", text=str(error), remedy=remedy(error))
