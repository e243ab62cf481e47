"""What the sources of a trial do: who they are, how much they publish, where everything of theirs lies."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self
from uuid import UUID

COUNTER_KEY: Final = "trial.counter"
WAVE_KEY: Final = "cpu.busy"
"""The item whose value crosses the threshold of the trial's trigger; a key that templates may name."""
WAVE_HIGH: Final = 1_000_000_000
"""Added to the counter while the wave is high."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What FILE says. Every source publishes `batches_per_second`, each with `counters` items and the wave.

    `sources` are [name, uuid] pairs; a source's key is `data/NAME.key`, its spool `data/NAME/spool`, its ledger
    `data/NAME.ledger`. `proxies` are [endpoint, public key] pairs; the sources prefer one after the other in turn.
    `is_alternating` False: all of them prefer the first one, as agents do that joined by the same server. `weights` are
    taken in turn by the sources: one of weight 3 publishes three times as often as one of weight 1.
    `wave_batches` 0: no wave. `past_batches`: so many each source appends at once when it starts, measured from
    `past_from` to `past_until` (seconds since 1970): what an outage leaves. `resume` names a source that comes back
    from its snapshot (see orders.py).
    """

    data: Path
    sources: tuple[tuple[str, UUID], ...]
    proxies: tuple[tuple[str, str], ...]
    counters: int = 125
    batches_per_second: float = 10.0
    wave_batches: int = 20
    counter_key: str = COUNTER_KEY
    resume: str = ""
    is_alternating: bool = True
    weights: tuple[int, ...] = (1,)
    spool_bytes: int = 256 << 20
    past_batches: int = 0
    past_from: float = 0.0
    past_until: float = 0.0

    @classmethod
    def read(cls, path: Path) -> Self:
        found: dict[str, Any] = json.loads(path.read_text())
        found["data"] = Path(found["data"])
        found["sources"] = tuple((name, UUID(uuid)) for name, uuid in found["sources"])
        found["proxies"] = tuple((endpoint, key) for endpoint, key in found["proxies"])
        found["weights"] = tuple(found["weights"])
        return cls(**found)

    def write(self, path: Path) -> None:
        found = self.__dict__ | {
            "data": str(self.data), "sources": [[name, str(uuid)] for name, uuid in self.sources],
        }  # fmt: skip
        path.write_text(json.dumps(found, indent=1))

    def ledger_file(self, name: str) -> Path:
        return self.data / f"{name}.ledger"

    def key_file(self, name: str) -> Path:
        return self.data / f"{name}.key"

    def spool_folder(self, name: str) -> Path:
        return self.data / name / "spool"

    def snapshot_folder(self, name: str) -> Path:
        return self.data / f"{name}.snapshot"

    @property
    def item_keys(self) -> list[str]:
        """The items of every source, in the order of their values."""
        counters = [f"{self.counter_key}[{place}]" for place in range(self.counters)]
        return [*counters, *([WAVE_KEY] if self.wave_batches else [])]

    def proxies_of(self, name: str) -> tuple[tuple[str, str], ...]:
        """The failover list of a source."""
        first = self.place_of(name) % len(self.proxies) if self.is_alternating else 0
        return self.proxies[first:] + self.proxies[:first]

    def place_of(self, name: str) -> int:
        return [source for source, _ in self.sources].index(name)

    def weight_of(self, name: str) -> int:
        return self.weights[self.place_of(name) % len(self.weights)]

    @property
    def status_file(self) -> Path:
        return self.data / "status.json"


def wave(counter: int, wave_batches: int) -> float:
    """The wave's value: the counter itself, and high for `wave_batches` of every 2 * `wave_batches`."""
    return float(counter + (WAVE_HIGH if counter // wave_batches % 2 else 0))
