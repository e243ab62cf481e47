"""What the trials of takeovers have in common: a ready standby, and how long each takeover took."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tests.trials.site import SERVERS
from tests.trials.stack import until_true

if TYPE_CHECKING:
    from tests.trials.stack import Stack

TAKEOVER_SECONDS: Final = 10.0
REPLACED: Final = 3
"""The exit code of a server that found another one in its place."""
STANDING_BY: Final = """
SELECT count(*) FROM server_presence WHERE name = %s AND seen_at > clock_timestamp() - interval '2 seconds'
"""


@dataclass
class Takeovers:
    """How long each took, in seconds, from the blow to the instant the standby took the lease."""

    seconds: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    """From SIGCONT to the old server's end."""
    faults: list[str] = field(default_factory=list)

    def summary(self) -> str:
        if not self.seconds:
            return "no takeover"
        text = f"{len(self.seconds)} takeovers, {spread(self.seconds)}"
        return text + (f"; woken, it ended within {max(self.ends):.1f} s" if self.ends else "")


def spread(seconds: list[float]) -> str:
    """Return the middle and the longest of some times, for people."""
    return f"p50 {statistics.median(seconds):.2f} s, max {max(seconds):.2f} s"


async def ready_to_take_over(stack: Stack) -> tuple[str, int]:
    """Return the active server and its epoch once the other one stands by."""
    active = await stack.active()
    (standby,) = (server for server in SERVERS if server != active)

    async def look() -> bool:
        ((count,),) = await stack.query(STANDING_BY, (standby,))
        return int(count) > 0

    await until_true(look, 120, "a standby")
    epoch, holder, _ = await stack.lease()
    assert holder == active, f"{holder} has taken over from {active} without a blow"
    return active, epoch


async def taken_at(stack: Stack, epoch: int) -> float:
    """Return when the next epoch was taken, seconds since 1970."""
    found = 0.0

    async def look() -> bool:
        nonlocal found
        ((now_epoch, at),) = await stack.query("SELECT epoch, extract(epoch FROM taken_at)::float8 FROM lease")
        found = at
        return int(now_epoch) > epoch

    await until_true(look, 120, "a takeover")
    return found
