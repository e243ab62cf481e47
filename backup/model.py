"""The backup room's words: run, chain, restore point, and the manifest that makes a run a restore point.

At a target everything of a set lies below `HOST/SET/`:

    points/20261121T041600Z.json.asc         our manifest, clear-signed by the host; written last
    chains/20261121T041600Z/duplicity-…      one folder a chain: a full and its incrementals, as duplicity names them
    chains/20261121T041600Z/part-2/…         of a set that is saved side by side: one such folder a part
    wal/7300000000000000000/…                a PostgreSQL cluster's WAL, as backup/wal/names.py has it
    binlog/20261121T041600Z/…                binary logs of a MariaDB or MySQL, as backup/binlog/names.py has them

Such a folder is complete in itself: plain duplicity restores from it. No manifest, no restore point.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

INSTANT_FORMAT: Final = "%Y%m%dT%H%M%SZ"  # duplicity's own, so that names can be compared
MOST_PARTS: Final = 16


def instant_name(at: datetime) -> str:
    """Return an aware instant as names have it: 20261121T041600Z (whole seconds, UTC)."""
    return at.astimezone(UTC).strftime(INSTANT_FORMAT)


def read_instant(name: str) -> datetime:
    """Return the instant of a name. Raises ValueError."""
    return datetime.strptime(name, INSTANT_FORMAT).replace(tzinfo=UTC)


def part_names(count: int) -> tuple[str, ...]:
    """Return the names of a chain's parts, which are their folders; of a set that is saved as one the chain's own."""
    return ("",) if count == 1 else tuple(f"part-{number}" for number in range(1, count + 1))


def in_order(part: str) -> tuple[int, str]:
    """Return what sorts the names of parts by their numbers."""
    return len(part), part


class Kind(StrEnum):
    """What a run saves."""

    FULL = "full"
    INCREMENTAL = "incremental"


class Status(StrEnum):
    """How a run stands. KILLED: its process ended without saying how; CANCELLED: a person ended it.

    Both count for nothing.
    """

    RUNNING = "running"
    OK = "ok"
    FAILED = "failed"
    KILLED = "killed"
    CANCELLED = "cancelled"


class Role(StrEnum):
    """What a file of duplicity's is for."""

    VOLUME = "volume"
    MANIFEST = "manifest"
    SIGNATURES = "signatures"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunId:
    """A run is known by its set and the instant it was due (aware UTC); the same id never runs twice."""

    set: str
    due_at: datetime

    def __str__(self) -> str:
        return f"{self.set}@{instant_name(self.due_at)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a set lies at its target; names are relative to the target's own root and end without a slash."""

    host: str
    set: str

    @property
    def points(self) -> str:
        """The folder of the signed manifests."""
        return f"{self.host}/{self.set}/points"

    @property
    def chains(self) -> str:
        """The folder of the chains' folders."""
        return f"{self.host}/{self.set}/chains"

    @property
    def wal(self) -> str:
        """The folder of the archived WAL, with a folder for each cluster (by its system identifier)."""
        return f"{self.host}/{self.set}/wal"

    @property
    def binlog(self) -> str:
        """The folder of the archived binary logs, with a folder for each unbroken line of them."""
        return f"{self.host}/{self.set}/binlog"

    def chain(self, chain: str) -> str:
        """The folder of one chain."""
        return f"{self.chains}/{chain}"

    def part(self, chain: str, part: str) -> str:
        """The folder of one part of a chain: what duplicity is given as its target."""
        return f"{self.chain(chain)}/{part}".rstrip("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeRecord:
    """One file of duplicity's at the target, as it was read back from there.

    `name` is relative to the chain's folder: that of its part stands before it, where there are several. `sha1` is
    duplicity's own (volumes only), `sha256` ours; both hex.
    """

    name: str
    role: Role
    size_bytes: int
    sha256: str
    sha1: str | None = None

    @property
    def part(self) -> str:
        """The folder of its part; empty for a set that is saved as one."""
        return self.name.rpartition("/")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What the source had: how many entries and bytes were saved, and what could not be read (first ones by name)."""

    entries: int
    bytes: int
    changed_bytes: int
    unreadable: int = 0
    unreadable_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a run left at the target: signed by the host, and the only thing that makes a restore point.

    at: the instant duplicity knows the run by (whole seconds); what `restore --time` is given.
    chain: name of the chain's folder, the instant the run of its full began.
    position: 0 for the full, 1 for its first incremental.
    previous: the manifest name of the run before in the chain; None for a full.
    consistency: what the source says about the moment its data is of (PostgreSQL: LSN, row counts …).
    """

    host: str
    set: str
    due_at: datetime
    at: datetime
    finished_at: datetime
    kind: Kind
    reason: str
    chain: str
    position: int
    previous: str | None
    source: str
    volumes: tuple[VolumeRecord, ...]
    recipients: tuple[str, ...]
    signer: str
    counts: Counts
    consistency: Mapping[str, Any] = field(default_factory=dict)
    software: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The manifest's file name at the target, without its folder."""
        return f"{instant_name(self.at)}.json.asc"

    @property
    def parts(self) -> tuple[str, ...]:
        """The folders of its parts below its chain's, the first part's first; ("",) for a set that is saved as one."""
        return tuple(sorted({volume.part for volume in self.volumes}, key=in_order))

    @property
    def stored_bytes(self) -> int:
        """What this run added to the target."""
        return sum(volume.size_bytes for volume in self.volumes)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorePoint:
    """A manifest whose signature holds, and whether its chain back to the full is whole as far as manifests tell.

    broken: why it cannot be restored, or None. Whether the volumes still lie there is `bkp verify`'s to say.
    """

    manifest: Manifest
    broken: str | None = None

    @property
    def at(self) -> datetime:
        """The instant it restores."""
        return self.manifest.at


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """How a run went: the journal's entry, and `last_run` in state/<set>.json.

    exit_code and error are None unless it failed. missing_at: targets that lack the point it made, which is whole at
    the set's others. moments: as of when it is, in words, where snapshots were asked for. covers: which things of the
    machine it saved, in the form of backup/sources/covering.py; empty where nobody wrote that down. process: what tells
    the process whose number is pid from others (core/runtime/process.py). Sizes in bytes, durations in seconds; None
    where not known (yet).
    """

    id: RunId
    status: Status
    started_at: datetime
    pid: int
    ended_at: datetime | None = None
    kind: Kind | None = None
    reason: str | None = None
    at: datetime | None = None
    chain: str | None = None
    source_bytes: int | None = None
    stored_bytes: int | None = None
    entries: int | None = None
    unreadable: int | None = None
    error: str | None = None
    exit_code: int | None = None
    missing_at: tuple[str, ...] = ()
    moments: tuple[str, ...] = ()
    covers: Mapping[str, Any] = field(default_factory=dict)
    process: str | None = None

    @property
    def duration_seconds(self) -> float | None:
        """How long it took; None while it runs."""
        return None if self.ended_at is None else (self.ended_at - self.started_at).total_seconds()
