"""duplicity's command line and environment."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from backup.engine.program import find_program
from backup.model import Kind
from core.runtime.reading_right import is_kept

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from backup.runtime.namespace import MountNamespace

# Our rings hold only keys somebody brought there by hand, so gpg's web of trust has nothing to add.
GPG_OPTIONS: Final = "--trust-model always --no-auto-key-locate"
_RETRIES: Final = 1  # Swift's library tries five times by itself; three times that let a dead Swift take 105 s
_RETRY_SECONDS: Final = 2
_STARTUP: Final = Path(__file__).parents[1] / "startup"
_BARE: Final = ("PATH", "HOME", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "https_proxy", "no_proxy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """The folders duplicity may use here: its cache of one chain's metadata, and room for temporary files."""

    cache: Path
    temporary: Path

    def of_part(self, part: str) -> Workplace:
        """Return the workplace of one part of the chain; each has a cache of its own."""
        return Workplace(cache=self.cache / part, temporary=self.temporary)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of duplicity: an argument list, never a shell, and the whole environment it gets.

    namespace: in which mounts it runs; None: in ours. reads_all: it gets the right to read every file, where we have
    it. started: called once it runs.
    """

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    namespace: MountNamespace | None = None
    reads_all: bool = False
    started: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """What a full or an incremental is told. volume_bytes are rounded up to MiB; max_block_bytes None: its own.

    options: those the target needs. compression: those by which volumes are compressed. at: the instant the run is
    known by; None: duplicity's own.
    """

    kind: Kind
    root: Path
    options: Sequence[str]
    compression: Sequence[str]
    recipients: Sequence[str]
    signer: str
    volume_bytes: int
    max_block_bytes: int | None
    shows_progress: bool
    at: datetime | None = None


def common_arguments(workplace: Workplace, *, signer: str | None, timeout_seconds: float) -> list[str]:
    """Return the options every call has. `signer`: whose signature is made, or required at a restore."""
    return [
        f"--archive-dir={workplace.cache.parent}",
        f"--name={workplace.cache.name}",
        f"--tempdir={workplace.temporary}",
        f"--gpg-options={GPG_OPTIONS}",
        *([f"--sign-key={signer}"] if signer else []),
        f"--timeout={max(1, round(timeout_seconds))}",
        f"--num-retries={_RETRIES}",
        f"--backend-retry-delay={_RETRY_SECONDS}",
    ]


def saving_arguments(
    saving: Saving, selection: Sequence[str], url: str, workplace: Workplace, timeout_seconds: float
) -> list[str]:
    """Return the command of a full or an incremental of what `selection` leaves of the root, to a place at the target.

    allow-source-mismatch: a machine that was renamed goes on with its chain; our manifest says whose it is.
    no-check-remote: the manifest at the target cannot be decrypted here; 3.1 would try.
    no-files-changed: the list of changed files would lie in the cache in the clear and cost memory by the file.
    """
    block = [] if saving.max_block_bytes is None else [f"--max-blocksize={saving.max_block_bytes}"]
    return [
        "full" if saving.kind is Kind.FULL else "incremental",
        *common_arguments(workplace, signer=saving.signer, timeout_seconds=timeout_seconds),
        *saving.compression,
        *(f"--encrypt-key={fingerprint}" for fingerprint in saving.recipients),
        f"--volsize={-(-saving.volume_bytes // (1 << 20))}",
        *block,
        "--allow-source-mismatch",
        "--no-check-remote",
        "--no-files-changed",
        *([] if saving.at is None else [f"--current-time={int(saving.at.timestamp())}"]),
        *(["--progress", "--progress-rate=1"] if saving.shows_progress else []),
        *saving.options,
        *selection,
        str(saving.root),
        url,
    ]


def paced(bytes_per_second: int | None) -> dict[str, str]:
    """Return the environment that makes duplicity, and an rclone it starts, send no faster; empty without a limit."""
    if bytes_per_second is None:
        return {}
    return {"WATCHKEEP_UPLOAD_LIMIT": str(bytes_per_second), "RCLONE_BWLIMIT": f"{bytes_per_second}B:off"}


def reading_environment() -> dict[str, str]:
    """Return the environment that makes duplicity ask what it may read as the kernel does; empty without the right."""
    return {"WATCHKEEP_READS_ALL": "1"} if is_kept() else {}


def call(action: Sequence[str], *environments: Mapping[str, str]) -> Call:
    """Return a call: `action` is the command with its options and places; the environments are laid over a bare one.

    PASSPHRASE and SIGN_PASSPHRASE are always there, even empty: without them duplicity asks, and the answer to its
    question being missing it ends with 30 after having said that the backup is complete.
    """
    environment = {name: os.environ[name] for name in _BARE if name in os.environ}
    environment |= {"LC_ALL": "C.UTF-8", "TZ": "UTC", "PASSPHRASE": "", "SIGN_PASSPHRASE": ""}
    environment["PYTHONPATH"] = str(_STARTUP)
    for each in environments:
        environment |= each
    return Call(arguments=(*find_program().arguments, *action), environment=environment)
