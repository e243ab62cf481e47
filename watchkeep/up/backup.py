"""The backups of a local installation: its own database and configuration, encrypted, daily.

The host's side (signing key, schedule), the restore station's (decryption key) and the pruner's (public keys, rules of
retention) lie in folders of their own, as they would on three machines. Nothing here may keep Watchkeep from starting:
what does not work out is said, and backups are off.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Any, Final

from backup.errors import BackupError
from backup.keys.making import make_folder, make_host_pair, make_passphrase_file, make_station_pair
from backup.keys.ring import KeyRing
from backup.keys.safekeeping import confirmed
from backup.loading.postgresql import read_dsn
from core.runtime.logging import Log
from server.store.migrate import read_migrations
from watchkeep.installation import write_private
from watchkeep.up.layout import toml
from watchkeep.up.parts import Backups
from watchkeep.up.pruning import SCHEDULE

if TYPE_CHECKING:
    from watchkeep.up.layout import Layout

log = Log("up")

STATION_NAME: Final = "restore-station"
TARGET_NAME: Final = "here"
DATABASE_SET: Final = "watchkeep-database"
FILES_SET: Final = "watchkeep-files"
PRUNER_NAME: Final = "pruner"
RETENTION: Final = {"daily": 7, "weekly": 4, "monthly": 6}
DRILLS: Final = "weekly sunday 05:00"
RESTORE_WITHIN: Final = "1h"
RETENTION_WORDS: Final = "7 days, 4 weeks and 6 months"
_HEAD: Final = "# Written by `watchkeep up` at every start. To change it, copy it and run an agent of your own by it.\n"


def prepare_backups(layout: Layout, host: str, dsn: str) -> Backups:
    """Make keys at the first start, and both configurations at every start. Blocks for a second. Never raises for
    what is only backup's: then backups are off, and the notes say why.
    """
    try:
        notes = _make_keys(layout, host)
        _write_host(layout, host, dsn)
        _write_station(layout, host)
        _write_pruner(layout)
    except (BackupError, OSError) as error:
        log.warning("backups are off", error=error)
        return Backups(notes=(f"off: {error}",))
    files = (folder(layout) / "backup.toml" for folder in (_host, _station, _pruner))
    host_file, station_file, pruner_file = files
    return Backups(host_file=host_file, station_file=station_file, pruner_file=pruner_file, notes=notes)


def _host(layout: Layout) -> Path:
    return layout.data / "backup"


def _station(layout: Layout) -> Path:
    return layout.data / "restore-station"


def _pruner(layout: Layout) -> Path:
    return layout.data / "pruner"


def _station_passphrase(layout: Layout) -> Path:
    """Return the station's passphrase file, where `bkp … --key FOLDER` looks for it: beside the key folder.

    An installation from before has it under another name, which is mended.
    """
    file, old = _station(layout) / "keys.passphrase", _station(layout) / "passphrase"
    if old.exists() and not file.exists():
        old.rename(file)
    return file


def _target(layout: Layout) -> Path:
    return layout.data / "backup-target"


def _make_keys(layout: Layout, host: str) -> tuple[str, ...]:
    """Make both pairs when they are missing and exchange their public halves; return what has to be said."""
    for folder in (_host(layout), _station(layout), _pruner(layout), _target(layout)):
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder == _pruner(layout):
            make_folder(folder / "keys")
        elif folder != _target(layout):
            passphrase = _station_passphrase(layout) if folder == _station(layout) else folder / "passphrase"
            make_folder(folder / "keys", is_passphrase_random=make_passphrase_file(passphrase))
    home = _station(layout) / "keys"
    with (
        KeyRing(home, _station_passphrase(layout)) as station,
        KeyRing(_host(layout) / "keys", _host(layout) / "passphrase") as own,
    ):
        _exchange(station, own, host)
        keys = station.decryption_keys()
        _introduce(layout, own)
    notes = [f"daily at 02:30 UTC, the first in some minutes, into {_target(layout)}",
             "which is no second place: name another target before you rely on them (docs/backup-schedule.md)",
             f"kept for {RETENTION_WORDS}; older ones are deleted {SCHEDULE} UTC",
             f"proven {DRILLS} UTC: restored aside, checked, and Watchkeep's database started from it"]  # fmt: skip
    if any(key.fingerprint not in confirmed(home) for key in keys):
        program, config = _bkp(), f"--config {_station(layout) / 'backup.toml'}"
        notes += ["Without its key no backup can be read. Print its sheet, and keep it away from this machine:",
                  f"{program} key escrow --html sheet.html {config}",
                  "Then say that it is safe:", f"{program} key confirm {config}"]  # fmt: skip
    return tuple(notes)


def _bkp() -> str:
    """Return how `bkp` is called here: it lies beside our Python, seldom on a user's PATH."""
    return which("bkp") or str(Path(sys.executable).with_name("bkp"))


def _exchange(station: KeyRing, own: KeyRing, host: str) -> None:
    if not station.pairs():
        make_station_pair(station, STATION_NAME)
    if host not in {key.host for key in own.pairs()}:
        make_host_pair(own, host)
    known = {key.fingerprint for key in own.keys()}  # noqa: SIM118 - a ring, no dictionary
    for key in station.decryption_keys():
        if key.fingerprint not in known:
            own.bring(station.export_public(key), may_be_secret=False)
    signer = own.signing_key(datetime.now(UTC))
    if signer.fingerprint not in {key.fingerprint for key in station.keys()}:  # noqa: SIM118 - as above
        station.bring(own.export_public(signer), may_be_secret=False)


def _introduce(layout: Layout, own: KeyRing) -> None:
    """Bring the host's public keys to the pruner, which verifies by them what it judges."""
    home = _pruner(layout) / "keys"
    with KeyRing(home, home) as ring:
        known = {key.fingerprint for key in ring.keys()}  # noqa: SIM118 - a ring, no dictionary
        for key in own.pairs():
            if key.fingerprint not in known:
                ring.bring(own.export_public(key), may_be_secret=False)


def _write_host(layout: Layout, host: str, dsn: str) -> None:
    folder = _host(layout)
    login, password = read_dsn(dsn)
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    write_private(folder / "pgpass", f"*:*:*:*:{escaped}\n")
    roots = [
        layout.data / "keys", layout.data / "secrets", layout.data / "agent-identity.json", folder / "keys",
        folder / "passphrase",
    ]  # fmt: skip
    listed = ", ".join(_text(root) for root in roots)
    excluded = ", ".join(_text(pattern) for pattern in ("**/S.gpg-agent*", "**/restoring-*", "**/*.lock"))
    sets = (
        f'\n[[sets]]\nname = {_text(DATABASE_SET)}\ntarget = {_text(TARGET_NAME)}\nschedule = "daily 02:30"\n'
        'time_limit = "2h"\nmax_block_size = 4096\n[sets.postgresql]\n'
        f"database = {_text(login.database)}\nhost = {_text(login.host)}\nport = {login.port}\n"
        f"user = {_text(login.user)}\npassfile = {_text(folder / 'pgpass')}\n"
        f'\n[[sets]]\nname = {_text(FILES_SET)}\ntarget = {_text(TARGET_NAME)}\nschedule = "daily 02:30"\n'
        f'time_limit = "1h"\n[sets.paths]\nroots = [{listed}]\nexclude = [{excluded}]\n'
    )
    keys = '\n[keys]\nhost = "keys"\nhost_passphrase_file = "passphrase"\n'
    write_private(folder / "backup.toml", _HEAD + toml({"host": host}) + keys + _target_table(layout) + sets)


def _write_station(layout: Layout, host: str) -> None:
    keys = '\n[keys]\nhost = "none"\nstation = "keys"\nstation_passphrase_file = "keys.passphrase"\n'
    text = _HEAD + toml({"host": STATION_NAME}) + keys + _target_table(layout) + _marks_table(layout)
    drilled = f"target = {_text(TARGET_NAME)}\nhost = {_text(host)}\nrestore_within = {_text(RESTORE_WITHIN)}\n"
    text += f"\n[drills]\nschedule = {_text(DRILLS)}\n"
    questions = ", ".join(_text(each) for each in rebuilding_questions())
    text += f"\n[[sets]]\nname = {_text(DATABASE_SET)}\n{drilled}drill_questions = [{questions}]\n"
    text += f"\n[[sets]]\nname = {_text(FILES_SET)}\n{drilled}"
    write_private(_station(layout) / "backup.toml", text)


def rebuilding_questions() -> tuple[str, ...]:
    """Return what a restored database of Watchkeep has to answer with true for this version to go on from it.

    It has migrations, each is one this version knows by number and checksum; somebody may sign in.
    """
    known = ", ".join(f"({each.number}, '{each.checksum}')" for each in read_migrations())
    return (
        "SELECT count(*) > 0 FROM migration",
        f"SELECT NOT EXISTS (SELECT number, checksum FROM migration EXCEPT VALUES {known})",  # noqa: S608 - ours
        "SELECT count(*) > 0 FROM account",
    )


def _write_pruner(layout: Layout) -> None:
    rules = "".join(f"keep_{name} = {count}\n" for name, count in RETENTION.items())
    tables = f'\n[keys]\nhost = "none"\n\n[pruner]\nkeys = "keys"\n[pruner.retention]\n{rules}'
    state = layout.data / "agent" / "probes"  # where the agent beside it looks for how it went
    text = _HEAD + toml({"host": PRUNER_NAME, "state": state}) + tables + _target_table(layout) + _marks_table(layout)
    write_private(_pruner(layout) / "backup.toml", text)


def _marks_table(layout: Layout) -> str:
    place = layout.data / "backup-marks"
    return f'\n[marks]\nname = "marks"\nkind = "folder"\nfolder = {_text(place)}\n'


def _target_table(layout: Layout) -> str:
    return toml({"targets": [{"name": TARGET_NAME, "kind": "folder", "folder": _target(layout)}]})


def _text(value: Any) -> str:
    return toml({"x": value}).partition("= ")[2].strip()
