"""One live link as its collector sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.model.ranges import RangeSet

if TYPE_CHECKING:
    from core.security.authority import Peer
    from core.wire.greeter import AckKind
    from core.wire.messages import Acknowledgements, SourceHeartbeat


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRefusal:
    """Something a collector refused. `kind` is one of the words docs/protocol.md lists, `key` the peer's if known."""

    kind: str
    key: bytes | None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkView:
    """One live link, for health and presence. Instants in µs; `frame` is the last data frame read."""

    key: bytes
    role: str
    name: str
    source: bytes | None
    session: int
    connected_at: int
    heard_at: int
    boot: int
    number: int
    waiting_records: int
    waiting_bytes: int
    skew_us: int
    software: str
    frame: int
    received_bytes: int


@dataclass(slots=True, kw_only=True, eq=False)
class Link:
    """The state of a session. `heard_monotonic` and its like are seconds of the collector's monotonic clock."""

    peer: Peer
    route: bytes
    session: int
    software: str
    connected_at: int
    heard_at: int
    heard_monotonic: float
    frame: int = 0
    received_bytes: int = 0
    announced_frame: int = 0
    announced_monotonic: float = 0.0
    asked_again_monotonic: float = float("-inf")
    unreceipted_bytes: int = 0
    unreceipted_frames: int = 0
    owes_receipt: bool = False
    granted_bytes: int = 0
    heartbeat: SourceHeartbeat | None = None
    skew_us: int = 0
    pending: dict[AckKind, dict[tuple[bytes, int], RangeSet]] = field(default_factory=dict)

    def note_heartbeat(self, heartbeat: SourceHeartbeat, now_us: int, now: float) -> None:
        """Take note of what the source says of itself."""
        self.heartbeat = heartbeat
        self.skew_us = heartbeat.clock - now_us
        if heartbeat.frame != self.announced_frame:
            self.announced_frame = heartbeat.frame
            self.announced_monotonic = now

    def note_frame(self, frame: int, size_bytes: int) -> None:
        """Take note of the next frame that was read."""
        self.frame = frame
        self.received_bytes += size_bytes
        self.unreceipted_bytes += size_bytes
        self.unreceipted_frames += 1
        self.owes_receipt = True

    def owe(self, kind: AckKind, acks: Acknowledgements) -> None:
        """Add to the acknowledgements still to be sent; what is owed stays a few ranges a boot."""
        waiting = self.pending.setdefault(kind, {})
        for life, ranges in acks.items():
            waiting.setdefault(life, RangeSet()).update(ranges)

    def view(self) -> LinkView:
        """Return a picture of the link."""
        beat = self.heartbeat
        return LinkView(
            key=self.peer.key,
            role=self.peer.role,
            name=self.peer.name,
            source=self.peer.source,
            session=self.session,
            connected_at=self.connected_at,
            heard_at=self.heard_at,
            boot=beat.boot if beat else 0,
            number=beat.number if beat else 0,
            waiting_records=beat.held_records if beat else 0,
            waiting_bytes=beat.held_bytes if beat else 0,
            skew_us=self.skew_us,
            software=self.software,
            frame=self.frame,
            received_bytes=self.received_bytes,
        )
