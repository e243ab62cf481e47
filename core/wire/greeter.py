"""What a daemon does about the events of its link upwards: the agent over its Outbox, the proxy over its custody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from core.wire.messages import Acknowledgements, Configuration, Welcome

AckKind = Literal["taken", "stored", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HelloFacts:
    """What a source says of itself; see messages.Hello."""

    role: str
    name: str
    source: bytes | None
    boots: tuple[tuple[int, int, int], ...]
    configuration: int
    epoch: int
    software: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatFacts:
    """What a source says of its state; see messages.SourceHeartbeat."""

    boot: int
    number: int
    held_records: int
    held_bytes: int
    oldest_at: int


class Greeter(Protocol):
    """Called from the publisher's tasks, so every method but `configured` returns at once."""

    def hello(self) -> HelloFacts:
        """Say who this is, at the start of each session."""
        ...

    def welcomed(self, welcome: Welcome) -> None:
        """Take note of what the collector knows. The stored ranges have been marked in the spool already.

        Not so those of the present boot when its numbers were seen beyond what it issued: they name other records.

        The spool may be renumbered here; sending starts at its beginning afterwards. A SpoolFault ends the session,
        and another is begun.
        """
        ...

    def acknowledged(self, kind: AckKind, acks: Acknowledgements) -> None:
        """Take note of an acknowledgement, already marked in the spool."""
        ...

    async def configured(self, message: Configuration) -> None:
        """Apply a configuration; its epoch has been checked. Answer with Publisher.send(Configured(...))."""
        ...

    def epoch_seen(self, epoch: int) -> None:
        """Keep the highest epoch ever seen, on disk: it just rose to `epoch`."""
        ...

    def heartbeat(self) -> HeartbeatFacts:
        """Say how much is held."""
        ...
