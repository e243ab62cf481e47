"""Whether the active server is where the parts can reach it: a decision only.

An active server that no part reaches holds the lease in vain: its heart beats, so no standby takes over, and nothing is
stored. It hands over when another server is called at. While some parts reach it, it stays: which half matters more
nobody can tell, and a lease that followed each broken wire would wander.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from server.store.servers import ServerView

UNREACHED_SECONDS: Final = 10.0
"""How long nobody must have been linked: a link that is well comes back sooner."""
SETTLED_SECONDS: Final = 15.0
"""A reign younger than this is not handed over: everybody may still be on the way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """`note` says what is wrong, for people, empty when nothing is; `hand_over`: let another server take over."""

    note: str = ""
    hand_over: bool = False


def judge_reach(
    own_name: str,
    servers: Sequence[ServerView],
    linked: Collection[str],
    *,
    unlinked_seconds: float,
    reigned_seconds: float,
) -> Reach:
    """Judge the active server's reach by what all servers say of themselves.

    `linked`: names of the parts linked to this server; `unlinked_seconds`: how long there have been none.
    """
    calls: list[str] = []
    for server in servers:
        strayed = [name for name in server.callers if name not in linked]
        if server.name != own_name and server.is_there and strayed:
            calls.append(f"{', '.join(strayed)} at {server.name}")
    if not calls:
        return Reach()
    called = "; ".join(calls)
    if linked:
        return Reach(note=f"some parts do not reach this server, the active one, and call elsewhere: {called}")
    if unlinked_seconds < UNREACHED_SECONDS or reigned_seconds < SETTLED_SECONDS:
        return Reach(note=f"no part is linked to this server, the active one; there call {called}")
    return Reach(note=f"no part reaches this server; there call {called}: it hands over", hand_over=True)
