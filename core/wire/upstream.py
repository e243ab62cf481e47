"""Where a source's collector is, and how the link to it stands."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """A collector: the endpoint of its control plane (tcp://host:port) and its public key (32 bytes)."""

    endpoint: str
    key: bytes

    def data_endpoint(self, port: int) -> str:
        """Return the endpoint of its data plane: same host, the port its welcome named."""
        return f"{self.endpoint.rpartition(':')[0]}:{port}"


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
