"""duplicity's cache: what a good run sealed is what the next one may go on from, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backup.model import Counts, Kind, Manifest, Role, VolumeRecord, read_instant
from backup.saving.cache import MetadataCache

if TYPE_CHECKING:
    from pathlib import Path

CHAIN = "20261121T041600Z"
NAMES = (f"duplicity-full.{CHAIN}.manifest", "duplicity-inc.1.manifest")


def manifest(name: str) -> Manifest:
    """Return the manifest of a run whose list has this name in the cache."""
    at = read_instant(CHAIN)
    volume = VolumeRecord(name=f"{name}.gpg", role=Role.MANIFEST, size_bytes=1, sha256="a" * 64, sha1=None)
    return Manifest(
        host="web1", set="files", due_at=at, at=at, finished_at=at, kind=Kind.FULL, reason="", chain=CHAIN,
        position=0, previous=None, source="paths", volumes=(volume,), recipients=(), signer="",
        counts=Counts(entries=1, bytes=1, changed_bytes=1),
    )  # fmt: skip


def test_a_sealed_list_that_changes_in_a_later_run_is_told_and_not_sealed_anew(tmp_path: Path) -> None:
    cache, manifests = MetadataCache(tmp_path), [manifest(name) for name in NAMES]
    cache.make(CHAIN)
    for name in NAMES:
        (cache.place(CHAIN) / name).write_bytes(b"as duplicity left it")
        cache.seal(CHAIN)
    assert cache.settle(CHAIN, manifests) is None
    (cache.place(CHAIN) / NAMES[0]).write_bytes(b"something else")
    cache.seal(CHAIN)
    assert cache.settle(CHAIN, manifests) == (
        f"the local cache is damaged: {NAMES[0]} is not as the last good run left it"
    )
