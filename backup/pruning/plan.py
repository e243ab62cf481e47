"""What a prune is going to do with a set at a target, and what it did."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from backup.model import Place
    from backup.pruning.stock import ChainFiles, Stock
    from backup.pruning.strays import StrayVerdict
    from backup.retention import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """What is left of a chain that an earlier run began to delete. waits: why it stays for now; None: it goes."""

    left: ChainFiles
    waits: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What there is of a set and what goes.

    unfinished: what earlier runs began to delete. logs: archived WAL and binary logs that go, by their
    whole names with their bytes. as_of: the moment that counts as now.
    notes: what a person has to know: manifests that do not count, holds that vanished, or that end unwitnessed.
    """

    place: Place
    target: str
    as_of: datetime
    verdicts: tuple[Verdict, ...]
    strays: tuple[StrayVerdict, ...]
    unfinished: tuple[Unfinished, ...]
    stock: Stock
    notes: tuple[str, ...]
    logs: Mapping[str, int] = field(default_factory=dict)

    @property
    def bytes_going(self) -> int:
        """What would be free afterwards."""
        found = sum(each.chain.size_bytes for each in self.verdicts if each.goes)
        found += sum(each.stray.size_bytes for each in self.strays if each.goes)
        found += sum(self.logs.values())
        return found + sum(each.left.size_bytes for each in self.unfinished if each.waits is None)

    @property
    def is_idle(self) -> bool:
        """Whether nothing goes."""
        goes = any(each.goes for each in self.verdicts) or any(each.goes for each in self.strays)
        return not goes and not self.logs and all(each.waits is not None for each in self.unfinished)


@dataclass(slots=True, kw_only=True)
class Pruned:
    """What was deleted. kept_back: chains that stay for now, since they were marked or held meanwhile, and by whom."""

    chains: list[str] = field(default_factory=list)
    strays: int = 0
    wal: int = 0
    binlog: int = 0
    freed_bytes: int = 0
    kept_back: list[str] = field(default_factory=list)
