"""A host and its restore station for tests: real keys, real duplicity, the real `bkp` as its user calls it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backup.keys.making import make_folder, make_host_pair, make_passphrase_file, make_station_pair
from backup.keys.ring import KeyRing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CHECKOUT = Path(__file__).parents[2]
HOST = "web1"


@dataclass
class Ended:
    """How a call of `bkp` ended."""

    exit_code: int
    output: str
    errors: str

    @property
    def document(self) -> Any:
        """The last JSON document it wrote."""
        return json.loads(self.output.splitlines()[-1])


def bkp(*arguments: str, config: Path | None = None, environment: dict[str, str] | None = None) -> Ended:
    """Call `bkp` and wait for its end."""
    command = [sys.executable, "-m", "backup.command", *arguments]
    if config is not None:
        command += ["--config", str(config)]
    kept = {name: value for name, value in os.environ.items() if name != "BKP_CONFIG"}
    done = subprocess.run(
        command, cwd=CHECKOUT, capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL, check=False,
        env=kept | (environment or {}),
    )  # fmt: skip
    return Ended(done.returncode, done.stdout, done.stderr)


def bkp_ok(*arguments: str, config: Path | None = None) -> Any:
    """Call `bkp … --json`, fail unless it succeeds, return its document."""
    ended = bkp(*arguments, "--json", config=config)
    assert ended.exit_code == 0, f"{arguments}: {ended.exit_code}\n{ended.output}\n{ended.errors}"
    return ended.document


@dataclass
class BackupSite:
    """A host's configuration in `host.toml`, its restore station's in `station.toml`; the two share nothing but keys.

    `targets` and `sets` are lines of TOML.
    """

    folder: Path
    targets: list[str] = field(default_factory=list)
    sets: list[str] = field(default_factory=list)

    @property
    def host(self) -> Path:
        return self.folder / "host.toml"

    @property
    def station(self) -> Path:
        return self.folder / "station.toml"

    @property
    def station_keys(self) -> Path:
        return self.folder / "station" / "keys"

    def add_folder_target(self, name: str = "store") -> Path:
        """Add a folder as a target; return it."""
        place = self.folder / f"target-{name}"
        self.targets.append(f'[[targets]]\nname = "{name}"\nkind = "folder"\nfolder = "{place}"\n')
        return place

    def add_swift_target(self, auth_url: str, user: str, key: str, container: str, name: str = "swift") -> None:
        """Add a Swift container as a target."""
        secret = self.folder / f"{name}.key"
        secret.write_text(f"{key}\n")
        secret.chmod(0o600)
        self.targets.append(
            f'[[targets]]\nname = "{name}"\nkind = "swift"\nauth_url = "{auth_url}"\nuser = "{user}"\n'
            f'key_file = "{secret}"\ncontainer = "{container}"\n'
        )

    def add_paths_set(self, name: str, target: str, roots: Sequence[Path], schedule: str = "never") -> None:
        """Add a set of paths."""
        listed = ", ".join(f'"{root}"' for root in roots)
        self.sets.append(
            f'[[sets]]\nname = "{name}"\ntarget = "{target}"\nschedule = "{schedule}"\n'
            f"[sets.paths]\nroots = [{listed}]\n"
        )

    def add_database_set(self, name: str, target: str, lines: str) -> None:
        """Add a set of a PostgreSQL database, `lines` being its table."""
        self.sets.append(
            f'[[sets]]\nname = "{name}"\ntarget = "{target}"\nschedule = "never"\n[sets.postgresql]\n{lines}\n'
        )

    def write(self) -> None:
        """Write both configurations."""
        self.host.write_text(
            f'host = "{HOST}"\nwork = "host/work"\nstate = "host/state"\n[keys]\nhost = "host/keys"\n'
            'host_passphrase_file = "host/passphrase"\n' + "".join(self.targets) + "".join(self.sets)
        )
        self.station.write_text(
            'host = "safe"\nwork = "station/work"\nstate = "station/state"\n[keys]\nhost = "station/none"\n'
            'station = "station/keys"\nstation_passphrase_file = "station/keys.passphrase"\n' + "".join(self.targets)
        )

    def state(self, name: str) -> Any:
        """Return what the host wrote down of a set."""
        return json.loads((self.folder / "host" / "state" / f"{name}.json").read_text())


@contextmanager
def backup_site() -> Iterator[BackupSite]:
    """Make a site with its keys exchanged; the path is short, since gpg's socket lies in the key folder."""
    folder = Path(tempfile.mkdtemp(prefix="bkp-"))
    try:
        (folder / "host").mkdir()
        (folder / "station").mkdir()
        station, host = folder / "station" / "keys", folder / "host" / "keys"
        for keys, passphrase in ((station, folder / "station/keys.passphrase"), (host, folder / "host/passphrase")):
            make_folder(keys, is_passphrase_random=make_passphrase_file(passphrase))
        with (
            KeyRing(station, folder / "station/keys.passphrase") as at_station,
            KeyRing(host, folder / "host/passphrase") as at_host,
        ):
            encrypting = make_station_pair(at_station, "safe")
            signing = make_host_pair(at_host, HOST)
            at_host.bring(at_station.export_public(encrypting), may_be_secret=False)
            at_station.bring(at_host.export_public(signing), may_be_secret=False)
        yield BackupSite(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fingerprint(top: Path) -> dict[str, tuple[str, int, int, int, int]]:
    """Return for each thing below `top` its content's digest (a link's target), mode, owner, group and time in ns."""
    found = {}
    for path in sorted([top, *top.rglob("*")]):
        status = path.lstat()
        if path.is_symlink():
            content = f"-> {path.readlink()}"
        else:
            content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        # duplicity keeps whole seconds of time
        found[str(path.relative_to(top))] = (
            content, status.st_mode, status.st_uid, status.st_gid, 0 if path.is_symlink() else int(status.st_mtime)
        )  # fmt: skip
    return found
