"""What a probe is: its name, its items, its parameters, and the function that reads the host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from probes.visit import ProbeFailedError, SilentError, Visit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

__all__ = [
    "Afterwards",
    "Failure",
    "Item",
    "NoParameters",
    "Probe",
    "ProbeFailedError",
    "Reading",
    "SilentError",
    "Visit",
    "probe",
]

DEFAULT_TIMEOUT_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing a probe measures. Its `key` is the same on every host; "[parameter]" follows it in the dictionary.

    `parameter` says in one word what the parameter names ("mount point"); empty when the item has none. `type` is
    "number", "text" or "structured". Units: "B", "B/s", "%", "1/s", "s", "d" for days, "" for a count.
    """

    key: str
    unit: str
    description: str
    parameter: str = ""
    type: str = "number"


class Reading(NamedTuple):
    """One value found. `value` is None when there is none this time (a rate needs two reads).

    Of a structured item it is the JSON text of a document, in any form (core.model.structured).

    The same item may be read several times in one visit (lines of a log): the later ones come a microsecond later each.
    `unit` stands in for the item's own where what is measured is only known on the host (a plugin's figures).
    """

    item: str
    value: float | str | None
    parameter: str = ""
    unit: str = ""


class Failure(NamedTuple):
    """Something that could not be read: a fact about the host, so it becomes data. `reason` names the thing."""

    reason: str


class Afterwards(NamedTuple):
    """What to do once everything yielded before it lies in the agent's spool; left out when that fails.

    So a probe that reads a stream remembers how far it came only when nothing can be lost any more. Called in the
    loop, so it shall be quick.
    """

    do: Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class NoParameters:
    """The probe takes none."""


Found = Reading | Failure | Afterwards


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A declared probe. `read(visit, parameters)` yields readings and failures, and may raise ProbeFailedError.

    What it yielded before it raised or ran out of time counts. `parameters` is a config declaration
    (core.config.reader). `may_block` gives each run a thread of its own; without it the function must read from
    kernel memory only. An async generator is awaited in the loop and cancelled at its timeout.

    `has_news(visit, parameters)` makes a probe answer to events: asked every second between its runs, it says whether
    there is something to read before the next is due. It shall be cheap, and may wait for a disk only if `may_block`.
    A parameter `at_once` that is false spares the asking, which wakes the agent.

    `polls` names the protocol by which a proxy asks a device for it, the visit is then a DeviceVisit (probes/device);
    empty for what an agent reads on its host. A probe that polls raises SilentError when nothing answers.
    """

    name: str
    items: tuple[Item, ...]
    parameters: type[Any]
    read: Callable[[Visit, Any], Iterator[Found] | AsyncIterator[Found]]
    timeout_seconds: float
    may_block: bool
    has_news: Callable[[Visit, Any], bool] | None = None
    polls: str = ""

    @property
    def place(self) -> Literal["agent", "proxy"]:
        """Where it runs."""
        return "proxy" if self.polls else "agent"


def probe(  # noqa: PLR0913 - what a probe declares, all by name
    name: str,
    *,
    items: Sequence[Item],
    parameters: type[Any] = NoParameters,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    may_block: bool = False,
    has_news: Callable[[Visit, Any], bool] | None = None,
    polls: str = "",
) -> Callable[[Callable[[Visit, Any], Iterator[Found] | AsyncIterator[Found]]], Probe]:
    """Declare the decorated generator function as the probe `name`; the decorated name is then the Probe."""

    def declare(read: Callable[[Visit, Any], Iterator[Found] | AsyncIterator[Found]]) -> Probe:
        return Probe(
            name=name,
            items=tuple(items),
            parameters=parameters,
            read=read,
            timeout_seconds=timeout_seconds,
            may_block=may_block,
            has_news=has_news,
            polls=polls,
        )

    return declare
