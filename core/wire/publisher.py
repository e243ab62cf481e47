"""The source's end of a link: sends what the spool holds, and forgets nothing that was not stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.wire.timings import LinkTimings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.runtime.clock import Clock
    from core.runtime.counters import Counters
    from core.security.keys import KeyPair
    from core.spool.spool import Spool
    from core.wire.greeter import Greeter
    from core.wire.messages import SourceMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """Where a collector is: the endpoint of its control plane (tcp://host:port) and its public key (32 bytes)."""

    endpoint: str
    key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkState:
    """How a publisher's link is. `upstream` is None between sessions; `trouble` says why, in words.

    `since` is the instant (µs) of the last change between connected and not.
    """

    upstream: Upstream | None
    since: int
    session: int
    in_flight_bytes: int
    window: int
    trouble: str


class Publisher:
    """Keeps one link to the best upstream there is and sends the spool's records over it."""

    def __init__(  # noqa: PLR0913 - what a daemon hands down, all by name
        self,
        *,
        spool: Spool,
        keys: KeyPair,
        upstreams: Sequence[Upstream],
        greeter: Greeter,
        clock: Clock,
        counters: Counters,
        timings: LinkTimings | None = None,
    ) -> None:
        raise NotImplementedError

    async def run(self) -> None:
        """Connect, say hello, stream, take acknowledgements, fail over; until cancelled, then say goodbye."""
        raise NotImplementedError

    def notify(self) -> None:
        """Tell that something was appended to the spool."""
        raise NotImplementedError

    async def send(self, message: SourceMessage) -> None:
        """Send a control message to the present upstream; dropped when there is none."""
        raise NotImplementedError

    @property
    def state(self) -> LinkState:
        """How the link is now."""
        raise NotImplementedError
