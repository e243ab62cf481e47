"""duplicity's cache of a chain's metadata on this machine: in the clear, so that increments need no decryption key.

A host cannot fetch it anew: what lies at the target is encrypted to keys it does not have. So a cache that is not
exactly what the last good run left means a new full.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from typing import TYPE_CHECKING

from backup.errors import WorkFailed
from backup.model import Role
from backup.runtime.durable import write_durably

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from backup.model import Manifest


class MetadataCache:
    """The caches of one set: a folder a chain, and beside it the sums of its files as the last good run left them.

    Files are named as in manifests: in a folder for each part, where a chain has several.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def place(self, chain: str) -> Path:
        """Return a chain's folder."""
        return self._folder / chain

    def settle(self, chain: str, manifests: Sequence[Manifest]) -> str | None:
        """Remove what a run that did not count left; return why the chain cannot be gone on from, None when it can.

        duplicity finding its own half-made files would resume that run, say "complete" and end with 31.
        """
        place = self.place(chain)
        wanted = {
            local_name(volume.name) for each in manifests for volume in each.volumes if volume.role is not Role.VOLUME
        }
        for name, path in self._files(place):
            if name not in wanted:
                _remove(path)
        sums = self._sums(chain)
        for name in sorted(wanted):
            try:
                found = _sha256(place / name)
            except FileNotFoundError:
                return f"the local cache is lost: {name} is missing"
            if found != sums.get(name):
                return f"the local cache is damaged: {name} is not as the last good run left it"
        return None

    def is_beyond(self, chain: str, manifests: Sequence[Manifest]) -> bool:
        """Whether a run of this chain was sealed here that is not among `manifests`: its point may lie elsewhere."""
        known = {local_name(volume.name) for each in manifests for volume in each.volumes}
        return bool(self._sums(chain).keys() - known)

    def seal(self, chain: str) -> None:
        """Write down the sums of a chain's files and make all of it durable. Raises WorkFailed.

        What was sealed before is durable and keeps its sum: if duplicity changed it all the same, the next run is told.
        """
        try:
            sealed, sums = self._sums(chain), dict[str, str]()
            for name, path in self._files(self.place(chain)):
                if name not in sealed:
                    _sync(path)
                sums[name] = sealed.get(name) or _sha256(path)
            for folder in {self.place(chain), *((self.place(chain) / name).parent for name in sums)}:
                _sync(folder)
            write_durably(self._sums_file(chain), json.dumps(sums, indent=1, sort_keys=True) + "\n")
        except OSError as error:
            raise WorkFailed(f"the cache {self.place(chain)} cannot be made durable: {error.strerror}") from error

    def keep_only(self, chain: str) -> None:
        """Remove the caches of other chains: nothing goes on from them any more."""
        for path in self._entries(self._folder):
            if path.name not in (chain, self._sums_file(chain).name):
                _remove(path)

    def make(self, chain: str) -> None:
        """Make a chain's folder. Raises WorkFailed."""
        try:
            self.place(chain).mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise WorkFailed(f"the cache {self.place(chain)} cannot be made: {error.strerror}") from error

    def _sums_file(self, chain: str) -> Path:
        return self._folder / f"{chain}.sums"

    def _sums(self, chain: str) -> dict[str, str]:
        try:
            found = json.loads(self._sums_file(chain).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return {str(name): str(digest) for name, digest in found.items()} if isinstance(found, dict) else {}

    @staticmethod
    def _entries(folder: Path) -> Iterable[Path]:
        return sorted(folder.iterdir()) if folder.is_dir() else []

    @staticmethod
    def _files(folder: Path) -> Iterable[tuple[str, Path]]:
        """Return every file below a chain's folder with its name."""
        return [
            (str(path.relative_to(folder)), path)
            for path in sorted(folder.rglob("*"))
            if path.is_symlink() or not path.is_dir()
        ]


def local_name(remote: str) -> str:
    """Return what duplicity calls a file of metadata in its cache: it lies there decrypted, signatures compressed."""
    if remote.endswith(".sigtar.gpg"):
        return remote.removesuffix(".gpg") + ".gz"
    return remote.removesuffix(".gpg")


def _remove(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise WorkFailed(f"{path} cannot be removed: {error.strerror}") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
