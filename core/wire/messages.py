"""The messages of the control plane, both ways. The classes are the description: docs/protocol.md derives from them.

On the wire a message is one msgpack map: its fields by name, and `type`. Instants are µs since 1970 UTC, sizes bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from core.security.authority import ROLES
from core.wire import shapes
from core.wire.limits import MAX_ACKS, MAX_BOOTS, MAX_PRESENCE_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from core.model.ranges import NumberRange

Acknowledgements: TypeAlias = "Mapping[tuple[bytes, int], Iterable[NumberRange]]"  # record numbers by (source, boot)


class Ack(NamedTuple):
    """Numbers of one boot of one source."""

    source: bytes
    boot: int
    ranges: tuple[NumberRange, ...]


class PresenceRow(NamedTuple):
    """One live link of a proxy. `waiting_*` is what the source still holds; `skew_us` its clock minus the proxy's."""

    source: bytes
    key: bytes
    session: int
    connected_at: int
    heard_at: int
    boot: int
    number: int
    waiting_records: int
    waiting_bytes: int
    skew_us: int
    software: str


def wire(shape: shapes.Shape, **options: Any) -> Any:
    """Declare a field with the shape that is checked when it is read."""
    return field(metadata={"shape": shape}, **options)


_acks = shapes.rows(lambda value: Ack(*shapes.row(shapes.source_id, shapes.boot, shapes.ranges)(value)), MAX_ACKS)
_presence = shapes.rows(
    lambda value: PresenceRow(
        *shapes.row(
            shapes.source_id,
            shapes.key,
            shapes.unsigned_64,
            shapes.instant,
            shapes.instant,
            shapes.count,
            shapes.count,
            shapes.count,
            shapes.count,
            shapes.instant,
            shapes.name,
        )(value)
    ),
    MAX_PRESENCE_ROWS,
)
_boots = shapes.rows(shapes.row(shapes.boot, shapes.count, shapes.count), MAX_BOOTS)
_seen = shapes.rows(shapes.row(shapes.boot, shapes.count, shapes.count), MAX_BOOTS)
_stored = shapes.rows(shapes.row(shapes.boot, shapes.ranges), MAX_BOOTS)
_endpoints = shapes.rows(shapes.name, 16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """A source presents itself. `boots`: (boot, lowest number held, last issued); `epoch`: the highest it has seen."""

    protocol: int = wire(shapes.number(1, 65_535))
    role: str = wire(shapes.choice(*ROLES))
    name: str = wire(shapes.name)
    source: bytes | None = wire(shapes.optional(shapes.source_id))
    session: int = wire(shapes.unsigned_64)
    boots: tuple[tuple[int, int, int], ...] = wire(_boots)
    configuration: int = wire(shapes.count)
    epoch: int = wire(shapes.count)
    software: str = wire(shapes.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Asks a collector how it is without saying hello; the answer is its heartbeat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceHeartbeat:
    """A source is alive. `frame` is the last data frame it sent, `number` the last record `boot` has issued.

    `held_*` is everything not known stored, `oldest_at` the instant of the oldest of it (0: nothing is held),
    but not before everything held had been sent the last time.
    """

    session: int = wire(shapes.unsigned_64)
    frame: int = wire(shapes.unsigned_64)
    boot: int = wire(shapes.count)
    number: int = wire(shapes.count)
    clock: int = wire(shapes.instant)
    held_records: int = wire(shapes.count)
    held_bytes: int = wire(shapes.count)
    oldest_at: int = wire(shapes.instant)
    epoch: int = wire(shapes.count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """Which sources a proxy hears; `is_first` starts a new list, later messages of the same list add to it."""

    is_first: bool = wire(shapes.boolean)
    links: tuple[PresenceRow, ...] = wire(_presence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """Configuration `version` is in force, or `error` says why it is not."""

    version: int = wire(shapes.count)
    error: str | None = wire(shapes.optional(shapes.text(4000)))


@dataclass(frozen=True, slots=True, kw_only=True)
class CountersReport:
    """The health of the part: its counters and gauges by name."""

    values: Mapping[str, int | float] = wire(shapes.numbers_by_name)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """The holder of `old` made `new` and asks that it be accepted for the same source; relayed by proxies."""

    old: bytes = wire(shapes.key)
    new: bytes = wire(shapes.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Goodbye:
    """The source ends its session on purpose."""

    session: int = wire(shapes.unsigned_64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """The collector takes the source in. A receiver fills `epoch`, `role`, `seen` and `stored`; its collector the rest.

    Of the boots of the hello, `seen`: (boot, highest number ever received, checksum of that record or 0 when it is not
    known); `stored`: (boot, ranges known stored).
    """

    role: str = wire(shapes.choice(*ROLES), default="server")
    epoch: int = wire(shapes.count, default=0)
    seen: tuple[tuple[int, int, int], ...] = wire(_seen, default=())
    stored: tuple[tuple[int, tuple[NumberRange, ...]], ...] = wire(_stored, default=())
    session: int = wire(shapes.unsigned_64, default=0)
    data_port: int = wire(shapes.number(0, 65_535), default=0)
    window: int = wire(shapes.count, default=0)
    clock: int = wire(shapes.instant, default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """Go to one of `endpoints` instead (tcp://host:port, best first; none: to the next of your own list)."""

    endpoints: tuple[str, ...] = wire(_endpoints, default=())
    reason: str = wire(shapes.text(4000), default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The session is refused or over. `reason` is one of REASONS; come again after `retry_seconds`."""

    reason: str = wire(shapes.name)
    message: str = wire(shapes.text(4000))
    retry_seconds: int = wire(shapes.number(0, 86_400))


REASONS = ("protocol", "role", "source", "revoked", "cloned", "session", "busy", "other")


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Every frame up to `frame` was read; `window` bytes may be under way beyond it."""

    session: int = wire(shapes.unsigned_64)
    frame: int = wire(shapes.unsigned_64)
    window: int = wire(shapes.count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """`frame` is missing: send it and everything after it again."""

    session: int = wire(shapes.unsigned_64)
    frame: int = wire(shapes.unsigned_64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A proxy has these on disk: stop resending; keep them until they are stored."""

    acks: tuple[Ack, ...] = wire(_acks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """The server has committed these: forget them."""

    acks: tuple[Ack, ...] = wire(_acks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """These will never be stored: count and forget them."""

    acks: tuple[Ack, ...] = wire(_acks)
    reason: str = wire(shapes.text(4000), default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectorHeartbeat:
    """A collector is alive; `is_active` says whether it wants sources (a standby server does not)."""

    role: str = wire(shapes.choice(*ROLES))
    epoch: int = wire(shapes.count)
    clock: int = wire(shapes.instant)
    is_active: bool = wire(shapes.boolean)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What the source shall do. A command: refused when `epoch` is lower than the highest the source has seen."""

    epoch: int = wire(shapes.count)
    version: int = wire(shapes.count)
    body: Mapping[str, Any] = wire(shapes.body)


SourceMessage = Hello | Probe | SourceHeartbeat | Presence | Configured | CountersReport | NewKey | Goodbye
CollectorMessage = (
    Welcome | Redirect | Refusal | Receipt | Again | Taken | Stored | Refused | CollectorHeartbeat | Configuration
)

FROM_SOURCES: dict[str, type[SourceMessage]] = {
    "hello": Hello,
    "probe": Probe,
    "heartbeat": SourceHeartbeat,
    "presence": Presence,
    "configured": Configured,
    "counters": CountersReport,
    "newkey": NewKey,
    "goodbye": Goodbye,
}
FROM_COLLECTORS: dict[str, type[CollectorMessage]] = {
    "welcome": Welcome,
    "redirect": Redirect,
    "refusal": Refusal,
    "receipt": Receipt,
    "again": Again,
    "taken": Taken,
    "stored": Stored,
    "refused": Refused,
    "heartbeat": CollectorHeartbeat,
    "configuration": Configuration,
}
