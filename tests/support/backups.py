"""A backed-up host and a restore station in folders of their own, with real keys, for tests of the backup room."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from backup.keys.making import make_folder, make_host_pair, make_passphrase_file, make_station_pair
from backup.keys.ring import KeyRing
from backup.model import Place, RunId
from backup.saving.run import run_set
from backup.settings.document import read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from backup.keys.key import Key
    from backup.model import RunRecord
    from backup.settings.document import BackupSettings

CHECKOUT = Path(__file__).parents[2]
HOST, SET = "web1", "files"
PLACE = Place(host=HOST, set=SET)
_LIMIT_SECONDS = 600.0  # a drill may boot an emulated guest
_due = count()


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Keys made once: `folder` holds `host` and `station` with their passphrase files."""

    folder: Path
    host: Key
    station: Key


@dataclass(frozen=True, kw_only=True)
class Site:
    """A host (`host/backup.toml`), a station (`station/backup.toml`), a target, and the host's data."""

    folder: Path
    pairs: Pairs

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def store(self) -> Path:
        """The folder target; a site at a Swift leaves it empty."""
        return self.folder / "store"

    @property
    def chains(self) -> Path:
        return self.store / PLACE.chains

    @property
    def points(self) -> Path:
        return self.store / PLACE.points

    def file(self, role: str) -> Path:
        return self.folder / role / "backup.toml"

    def settings(self, role: str = "host") -> BackupSettings:
        return read_settings(self.file(role))

    def ring(self, role: str = "host") -> KeyRing:
        return KeyRing(self.folder / role / "keys" / role, self.folder / role / "keys" / f"{role}.passphrase")

    def cut_into(self, number: int) -> None:
        """Let the set be saved in so many parts from now on."""
        file = self.file("host")
        lines = [line for line in file.read_text().splitlines() if not line.startswith("side_by_side")]
        lines.insert(lines.index('volume_size = "1MiB"'), f"side_by_side = {number}")
        file.write_text("\n".join(lines) + "\n")

    def run(self, *, is_full_asked: bool = False) -> RunRecord:
        """Save the set in this process, each time with a new id."""
        return run_set(self.settings(), RunId(set=SET, due_at=next_due()), is_full_asked=is_full_asked)

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "host/state" / f"{SET}.json").read_text())
        return found

    def manifest(self) -> dict[str, Any]:
        """Return what the newest manifest at the folder target says."""
        text = max(self.points.iterdir()).read_text()
        found: dict[str, Any] = json.loads(text[text.index("{") : text.index("-----BEGIN PGP SIGNATURE")])
        return found

    def command(self, role: str, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "backup.command", *arguments, "--config", str(self.file(role))]

    def bkp(
        self, role: str, *arguments: str, prefix: Sequence[str] = (), **more: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run `bkp` as a program, stdin a terminal nobody types at being out of the question; by `prefix`, if any."""
        return subprocess.run(
            [*prefix, *self.command(role, *arguments)], cwd=CHECKOUT, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, check=False, timeout=_LIMIT_SECONDS, **more,
        )  # fmt: skip

    def demand_saved(self, *options: str) -> None:
        """Save the set by `bkp run` as a program, which has to end well."""
        done = self.bkp("host", "run", SET, *options)
        assert done.returncode == 0, done.stdout + done.stderr

    def add_pruner(self, rules: str, more: str = "", target: str | None = None) -> None:
        """Add a pruner (`pruner/backup.toml`), or write its configuration anew; and a place of marks.

        rules: the lines of [pruner]. more: tables after it. target: the TOML of its target "store"; else the folder.
        """
        home = self.folder / "pruner" / "keys" / "pruner"
        if not home.exists():
            make_folder(home)
            with self.ring() as own, KeyRing(home, home) as ring:
                ring.bring(own.export_public(self.pairs.host), may_be_secret=False)
            with self.file("station").open("a") as file:
                file.write(self.marks_table)
        target = target or f'kind = "folder"\nfolder = "{self.store}"'
        self.file("pruner").write_text(
            f'host = "pruner1"\n[[targets]]\nname = "store"\n{target}\n[pruner]\n{rules}\n{self.marks_table}{more}\n'
        )

    @property
    def marks_table(self) -> str:
        return f'[marks]\nname = "marks"\nkind = "folder"\nfolder = "{self.folder / "marks"}"\n'

    @property
    def marks(self) -> Path:
        """Where the marks of the set lie."""
        return self.folder / "marks" / HOST / SET

    def prune(self, *options: str, exit_code: int = 0) -> list[dict[str, Any]]:
        """Run `bkp prune --json` as the pruner; return its lines."""
        done = self.bkp("pruner", "prune", "--json", *options)
        assert done.returncode == exit_code, done.stdout + done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def restore_plainly(
        self, to: Path, at: datetime | None = None, chain: str | None = None, *, is_all: bool = False
    ) -> Path:
        """Restore the data folder, or all, with plain duplicity and the station's key; return where it is then."""
        folder = self.chains / (chain or self.manifest()["chain"])
        time = [] if at is None else [f"--time={int(at.timestamp())}"]
        cache = Path(tempfile.mkdtemp(prefix="cache-", dir=self.folder))
        done = subprocess.run(
            [
                sys.executable, str(Path(sys.executable).parent / "duplicity"), "restore", *time,
                f"--archive-dir={cache}", "--gpg-options=--trust-model always",
                *([] if is_all else [f"--path-to-restore={str(self.data)[1:]}"]),
                f"file://{folder}", str(to),
            ],
            env=dict(os.environ) | self.ring("station").environment(), stdin=subprocess.DEVNULL, capture_output=True,
            text=True, check=False, timeout=_LIMIT_SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return to


def next_due() -> datetime:
    """Return an instant no test has used: ids are distinct, and nothing waits for a second to pass."""
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=next(_due))


def change(path: Path, text: str) -> None:
    """Write a file anew so that duplicity sees it, which knows a change by the whole second of its time."""
    before = path.stat().st_mtime
    path.write_text(text)
    os.utime(path, (before + 2,) * 2)


def demand_same(left: Path, right: Path) -> None:
    """Fail when two trees differ in names or bytes."""
    ours, theirs = (
        {str(path.relative_to(top)): path.read_bytes() for path in sorted(top.rglob("*")) if path.is_file()}
        for top in (left, right)
    )
    assert ours == theirs
    assert not filecmp.dircmp(left, right).funny_files


@contextmanager
def new_pairs() -> Iterator[Pairs]:
    """Make a pair for a host and one for a station, each other's public keys brought."""
    folder = Path(tempfile.mkdtemp(prefix="wk-pairs-"))  # short: gpg's sockets have to fit into it
    for role in ("host", "station"):
        made = make_passphrase_file(folder / f"{role}.passphrase")
        make_folder(folder / role, is_passphrase_random=made)
    with (
        KeyRing(folder / "host", folder / "host.passphrase") as host,
        KeyRing(folder / "station", folder / "station.passphrase") as station,
    ):
        found = Pairs(folder=folder, host=make_host_pair(host, HOST), station=make_station_pair(station, "station1"))
        host.bring(station.export_public(found.station), may_be_secret=False)
        station.bring(host.export_public(found.host), may_be_secret=False)
    try:
        yield found
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # as in new_site


@pytest.fixture(scope="session")
def pairs() -> Iterator[Pairs]:
    with new_pairs() as found:
        yield found


@contextmanager
def new_site(pairs: Pairs, target: str | None = None, source: str | None = None) -> Iterator[Site]:
    """Make a site. `target`: the TOML of the target "store"; `source`: that of the set's source; else folders."""
    site = Site(folder=Path(tempfile.mkdtemp(prefix="wk-site-")), pairs=pairs)
    target = target or f'kind = "folder"\nfolder = "{site.store}"'
    source = source or f'paths.roots = ["{site.data}"]'
    site.data.mkdir()
    site.store.mkdir()
    for role in ("host", "station"):
        keys = site.folder / role / "keys"
        shutil.copytree(pairs.folder / role, keys / role, ignore=shutil.ignore_patterns("S.*", "*.lock"))
        shutil.copy(pairs.folder / f"{role}.passphrase", keys)
    common = f'[[targets]]\nname = "store"\n{target}\n[[sets]]\nname = "{SET}"\ntarget = "store"\n'
    site.file("host").write_text(f'host = "{HOST}"\n{common}volume_size = "1MiB"\n{source}\n')
    site.file("station").write_text(f'host = "station1"\nkeys.station = "keys/station"\n{common}host = "{HOST}"\n')
    try:
        yield site
    finally:
        shutil.rmtree(site.folder, ignore_errors=True)  # an agent of gpg may be taking its sockets away meanwhile


@pytest.fixture
def site(pairs: Pairs) -> Iterator[Site]:
    """A site with a folder target and two files of data, one of three volumes."""
    with new_site(pairs) as made:
        fill(made.data)
        yield made


def fill(data: Path) -> None:
    """Put the first state of some data there: 2.5 MiB, so that there are three volumes."""
    (data / "deep" / "er").mkdir(parents=True)
    (data / "deep" / "noise").write_bytes(os.urandom(5 << 19))
    (data / "deep" / "er" / "words").write_text("first\n")
    (data / "empty").touch()
