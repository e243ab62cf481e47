"""The programs the backup benchmark compares, each as its user would call it."""

from __future__ import annotations

import compileall
import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, Self

from backup.engine.command import GPG_OPTIONS
from backup.engine.compression import Compression, ours
from backup.engine.program import find_program
from backup.keys.ring import KeyRing
from backup.settings.backup_set import SetSettings
from tests.support.backup_site import CHECKOUT, HOST, backup_site

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from tests.support.backup_site import BackupSite

_PHRASE: Final = "benchmark"
_SET: Final = "data"
_BLOCK: Final = 4096
_VOLUME_MIB: Final = SetSettings(name="any", target="any").volume_size >> 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of one step: the clock's seconds, the processor's of everything that was started, bytes it added to the store."""

    seconds: float
    processor_seconds: float
    stored_bytes: int


class Program(Protocol):
    """One program with an empty store of its own."""

    def __enter__(self) -> Self:
        """Make store and keys ready; that is not measured."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove what lies outside the folder."""
        ...

    def save(self, data: Path) -> Cost:
        """Save the tree, as what changed when it was saved before."""
        ...

    def restore(self, path: Path | None, to: Path) -> Cost:
        """Bring all back, or one path relative to the tree, to a folder that is not there yet."""
        ...

    def restored(self, to: Path, data: Path) -> Path:
        """Return where the tree is after `restore(None, to)`."""
        ...

    def verify(self) -> Cost:
        """Verify what lies in the store by reading all of it."""
        ...


def _stored(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _run(store: Path, command: Sequence[str], more: Mapping[str, str] | None = None, cwd: Path | None = None) -> Cost:
    """Run a program to its end. Raises SystemExit with what it said when it fails."""
    before, began = _stored(store), time.perf_counter()
    with subprocess.Popen(
        command, cwd=cwd, env=os.environ | dict(more or {}), stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    ) as child:  # fmt: skip
        said = child.stderr.read() if child.stderr else b""
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {child.returncode}: {said.decode()[-2000:]}")
    seconds = time.perf_counter() - began
    return Cost(
        seconds=seconds, processor_seconds=usage.ru_utime + usage.ru_stime, stored_bytes=_stored(store) - before
    )


class _WithSite:
    """What has the keys of a host and its station."""

    def __init__(self, folder: Path, *, is_one_file: bool) -> None:
        self.folder = folder
        self.is_one_file = is_one_file
        self._stack = ExitStack()
        self.site: BackupSite = self._stack.enter_context(backup_site())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


class Bkp(_WithSite):
    """Ours: the host saves, its station restores and verifies."""

    lines = ""

    def __enter__(self) -> Self:
        for room in ("backup", "core"):  # as pip leaves what it installs; the others are compiled, too
            compileall.compile_dir(CHECKOUT / room, quiet=1)
        self.store = self.site.add_folder_target()
        roots = f'[sets.paths]\nroots = ["{self.folder / "data"}"]\n'
        block = f"max_block_size = {_BLOCK}\n" if self.is_one_file else ""
        self.site.sets.append(
            f'[[sets]]\nname = "{_SET}"\ntarget = "store"\nschedule = "never"\n{block}{self.lines}{roots}'
        )
        self.site.write()
        return self

    def save(self, data: Path) -> Cost:  # noqa: ARG002 - the configuration names it
        """Save the tree."""
        return self._bkp("run", _SET, "--config", str(self.site.host))

    def restore(self, path: Path | None, to: Path) -> Cost:
        """Bring all back, or one path."""
        part = [] if path is None else ["--path", str(self.folder.relative_to("/") / "data" / path)]
        return self._bkp("restore", f"{HOST}/{_SET}", "--to", str(to), *part, "--config", str(self.site.station))

    def restored(self, to: Path, data: Path) -> Path:
        """Return where the tree is then."""
        return to / data.relative_to("/")

    def verify(self) -> Cost:
        """Read what lies in the store."""
        return self._bkp("verify", f"{HOST}/{_SET}", "--depth", "read", "--config", str(self.site.station))

    def _bkp(self, *arguments: str) -> Cost:
        return _run(self.store, [sys.executable, "-m", "backup.command", *arguments], cwd=CHECKOUT)


class BkpInParts(Bkp):
    """Ours, with the tree saved in as many parts side by side as there are cores."""

    lines = f"side_by_side = {os.cpu_count()}\n"


class Duplicity(_WithSite):
    """Bare duplicity with its own settings; one key ring holds the keys of both, as its users have it."""

    gpg_options = "--trust-model always"
    compression = Compression(arguments=())
    more: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        self.store = self.folder / "store"
        at = self.site.folder
        host = self._stack.enter_context(KeyRing(at / "host/keys", at / "host/passphrase"))
        station = self._stack.enter_context(KeyRing(at / "station/keys", at / "station/keys.passphrase"))
        known = host.keys()
        self._signer = next(key.fingerprint for key in known if key.has_secret)
        self._recipient = next(key.fingerprint for key in known if not key.has_secret)
        self._signing, self._reading = host.signing_environment(), station.environment()
        return self

    def save(self, data: Path) -> Cost:
        """Save the tree."""
        keys = [f"--encrypt-key={self._recipient}", f"--sign-key={self._signer}"]
        return self._duplicity(
            self._signing, "backup", *keys, *self.compression.arguments, *self.more, str(data), self._url
        )

    def restore(self, path: Path | None, to: Path) -> Cost:
        """Bring all back, or one path."""
        shutil.rmtree(self.folder / "cache", ignore_errors=True)  # another machine: its cache is empty
        part = [] if path is None else [f"--path-to-restore={path}"]
        return self._duplicity(self._reading, "restore", *part, self._url, str(to))

    def restored(self, to: Path, data: Path) -> Path:  # noqa: ARG002 - the tree itself
        """Return where the tree is then."""
        return to

    def verify(self) -> Cost:
        """Read what lies in the store."""
        return self._duplicity(self._reading, "verify", "--compare-data", self._url, str(self.folder / "data"))

    @property
    def _url(self) -> str:
        return f"file://{self.store}"

    def _duplicity(self, environment: Mapping[str, str], action: str, *arguments: str) -> Cost:
        self.store.mkdir(exist_ok=True)
        options = [f"--archive-dir={self.folder / 'cache'}", f"--gpg-options={self.gpg_options}"]
        passphrases = {"PASSPHRASE": "", "SIGN_PASSPHRASE": "", "LC_ALL": "C.UTF-8"}
        everything = passphrases | dict(environment) | dict(self.compression.environment)
        return _run(self.store, [*find_program().arguments, action, *options, *arguments], everything)


class DuplicityAsWe(Duplicity):
    """Bare duplicity with the settings of ours, and what compresses in gpg's place."""

    gpg_options = GPG_OPTIONS
    compression = ours(volume_bytes=_VOLUME_MIB << 20)
    more = ("--no-files-changed", f"--volsize={_VOLUME_MIB}")


class Restic:
    """restic with its defaults."""

    def __init__(self, folder: Path, *, is_one_file: bool) -> None:  # noqa: ARG002 - it finds changed blocks by itself
        self.folder, self.store = folder, folder / "store"
        self.environment = {"RESTIC_PASSWORD": _PHRASE, "RESTIC_CACHE_DIR": str(folder / "cache")}

    def __enter__(self) -> Self:
        self.store.mkdir()
        self._restic("init")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave nothing: all lies in the folder."""

    def save(self, data: Path) -> Cost:
        """Save the tree."""
        return self._restic("backup", str(data))

    def restore(self, path: Path | None, to: Path) -> Cost:
        """Bring all back, or one path."""
        part = [] if path is None else ["--include", str(self.folder / "data" / path)]
        return self._restic("restore", "latest", "--target", str(to), *part)

    def restored(self, to: Path, data: Path) -> Path:
        """Return where the tree is then."""
        return to / data.relative_to("/")

    def verify(self) -> Cost:
        """Read what lies in the store."""
        return self._restic("check", "--read-data")

    def _restic(self, *arguments: str) -> Cost:
        return _run(self.store, ["restic", "--quiet", "--repo", str(self.store), *arguments], self.environment)


class Borg:
    """borg with a key in the repository and its defaults."""

    def __init__(self, folder: Path, *, is_one_file: bool) -> None:  # noqa: ARG002 - it finds changed blocks by itself
        self.folder, self.store, self.count = folder, folder / "store", 0
        self.environment = {"BORG_PASSPHRASE": _PHRASE, "BORG_BASE_DIR": str(folder / "borg")}

    def __enter__(self) -> Self:
        self.store.mkdir()
        self._borg("init", "--encryption=repokey-blake2", str(self.store))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave nothing: all lies in the folder."""

    def save(self, data: Path) -> Cost:
        """Save the tree."""
        self.count += 1
        return self._borg("create", f"{self.store}::{self.count}", str(data))

    def restore(self, path: Path | None, to: Path) -> Cost:
        """Bring all back, or one path."""
        to.mkdir()
        part = [] if path is None else [str((self.folder / "data" / path).relative_to("/"))]
        return self._borg("extract", f"{self.store}::{self.count}", *part, cwd=to)

    def restored(self, to: Path, data: Path) -> Path:
        """Return where the tree is then."""
        return to / data.relative_to("/")

    def verify(self) -> Cost:
        """Read what lies in the store."""
        return self._borg("check", "--verify-data", str(self.store))

    def _borg(self, *arguments: str, cwd: Path | None = None) -> Cost:
        return _run(self.store, ["borg", *arguments], self.environment, cwd)


PROGRAMS: Final[Mapping[str, Callable[..., Program]]] = {
    "duplicity, its defaults": Duplicity,
    "duplicity, our settings": DuplicityAsWe,
    "bkp": Bkp,
    "bkp, side by side": BkpInParts,
    "restic": Restic,
    "borg": Borg,
}
