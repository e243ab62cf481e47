"""How long the parts of a link wait; every wait on a link has one of these as its limit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkTimings:
    """All in seconds. Tests use shorter ones."""

    heartbeat_seconds: float = 2.5
    dead_seconds: float = 6.0  # no message for so long: the other end is gone
    welcome_seconds: float = 5.0  # from connecting to the welcome; longer than clone_seconds
    clone_seconds: float = 3.0  # a link whose key says hello elsewhere must be heard within this, or is replaced
    receiver_seconds: float = 4.0  # what a collector's receiver may take to greet or to hear
    probe_seconds: float = 30.0  # how often the preferred upstreams are looked at
    probes_until_steady: int = 2
    gather_seconds: float = 0.005  # small frames are gathered for so long after one was sent
    acknowledge_seconds: float = 0.02  # acknowledgements and receipts are gathered for so long
    gather_acknowledgements_seconds: float = 0.1  # and so long for links that send little
    again_seconds: float = 1.0  # a frame announced or skipped and not read within this is asked for (again)
    stall_seconds: float = 0.05  # a receiver that takes longer is full: no more credit until it is back
    stuck_seconds: float = 30.0  # frames under way with credit left and no receipt: go back
    first_retry_seconds: float = 0.2
    longest_retry_seconds: float = 5.0
    linger_seconds: float = 0.2  # what a closing socket may take to send its last messages
