"""duplicity's command line and environment: pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """The folders duplicity may use on this machine: its cache of the chain's metadata, and room for temporary files."""

    cache: Path
    temporary: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of duplicity: an argument list, never a shell, and the whole environment it gets."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)


def program() -> tuple[str, ...]:
    """Return the arguments that start duplicity: the one installed beside this Python. Raises EngineFailed."""
    raise NotImplementedError


def common_arguments(workplace: Workplace, *, signer: str | None, timeout_seconds: float) -> list[str]:
    """Return the options every call has. `signer`: the fingerprint whose signature is made, or required at a restore."""
    raise NotImplementedError


def call(action: Sequence[str], *environments: Mapping[str, str]) -> Call:
    """Return a call: `action` is the command with its options and places; the environments are laid over a bare one.

    PASSPHRASE and SIGN_PASSPHRASE are always there, even empty: without them duplicity asks, and the answer to its
    question being missing it ends with 30 after having said that the backup is complete.
    """
    raise NotImplementedError
