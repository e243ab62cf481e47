"""What every prover promises.

A prover is given what a drill has restored, starts what has to be started within limits, checks, and says what it
looked at. It is one file, and one line in the registry; what it needs to be told stands in backup/settings/drill.py.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from backup.errors import TimedOut
from core.model.counting import counted_of

if TYPE_CHECKING:
    from pathlib import Path

    from backup.model import Manifest
    from backup.proof.versions import ProvenIn
    from backup.settings.backup_set import SetSettings
    from backup.settings.drill import DrillSettings
    from backup.station.station import Station

MOST_NAMED: Final = 10
"""How many differing things a check names; the others are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a proof may take. deadline: as time.monotonic() has it. memory_bytes: of each program it starts."""

    deadline: float
    memory_bytes: int

    def left_seconds(self, doing: str) -> float:
        """Return the seconds that are left. Raises TimedOut, saying what was being done, when there are none."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimedOut(f"the drill's time limit passed while {doing}: give it more with drills.time_limit")
        return left


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is to be proven.

    restored: the folder the whole restore point was restored to; a prover may change and use up what is in it.
    scratch: an empty private folder on the same file system; the drill removes it, however the proof ends.
    signatures: duplicity's signature files of the chain up to this point, decrypted, the full's first; of each part.
    settings and chosen: what backup.toml says of drills and of this set.
    station: the set as it is read here, for what lies at the target beside restore points (archived WAL).
    """

    manifest: Manifest
    restored: Path
    scratch: Path
    signatures: tuple[tuple[Path, ...], ...]
    settings: DrillSettings
    chosen: SetSettings
    station: Station
    limits: Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was checked. what: in the plural ("files"). names: the first that differ, and how.

    is_of_chain: what differs here is damage of what lies at the target, which only a new full mends.
    """

    what: str
    looked_at: int
    differing: int = 0
    names: tuple[str, ...] = ()
    is_of_chain: bool = False

    def table(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            "what": self.what,
            "looked_at": self.looked_at,
            "differing": self.differing,
            "names": list(self.names),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a proof found.

    notes: what could not be checked here, and why; it is told with every result. ready_seconds: what it took from
    restored to usable (a dump loaded, a machine booted), which is part of what a restore takes; not the checks.
    server: the one it was proven in, where a database was.
    """

    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()
    ready_seconds: float = 0.0
    server: ProvenIn | None = None

    @property
    def is_good(self) -> bool:
        """Whether something was looked at, and nothing differs: evidence of nothing proves nothing."""
        return any(check.looked_at for check in self.checks) and not any(check.differing for check in self.checks)

    def words(self) -> str:
        """Return it for people, in a line; what is wrong first."""
        found = [
            counted_of(check.looked_at, check.what)
            + (f", {check.differing} of them wrong ({'; '.join(check.names)})" if check.differing else "")
            for check in sorted(self.checks, key=lambda check: not check.differing)
        ]
        where = () if self.server is None else (self.server.words(),)
        return "; ".join((*found, *where, *self.notes)) or "nothing was looked at"


class Prover(Protocol):
    """Shows whether what was restored of one kind of source is what was saved, and can be used."""

    @property
    def source(self) -> str:
        """The kind of source, as the manifest names it."""
        ...

    def room_bytes(self, manifest: Manifest) -> int:
        """Return how much room `scratch` may need, beside what is restored; a drill that has it not does not begin."""
        ...

    def prove(self, case: Case) -> Evidence:
        """Check it. What differs is evidence, not an exception. Blocks, at most until the limits' deadline.

        Programs it starts listen on a Unix socket or the loopback at most, hold to the limits, and have ended when this
        returns or raises (Cancelled comes from signals). Raises DrillFailed for what stands in the way of checking,
        saying what to do; TimedOut. Any error means: not proven.
        """
        ...
