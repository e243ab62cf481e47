"""What a probe is: its name, its items, its parameters, and the function that reads the host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from probes.visit import ProbeFailedError, Visit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

__all__ = ["Failure", "Item", "NoParameters", "Probe", "ProbeFailedError", "Reading", "Visit", "probe"]

DEFAULT_TIMEOUT_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing a probe measures. Its `key` is the same on every host; "[parameter]" follows it in the dictionary.

    `parameter` says in one word what the parameter names ("mount point"); empty when the item has none. `type` is
    "number" or "text". Units: "B", "B/s", "%", "1/s", "s", "" for a count.
    """

    key: str
    unit: str
    description: str
    parameter: str = ""
    type: str = "number"


class Reading(NamedTuple):
    """One value found. `value` is None when there is none this time (a rate needs two reads)."""

    item: str
    value: float | str | None
    parameter: str = ""


class Failure(NamedTuple):
    """Something that could not be read: a fact about the host, so it becomes data. `reason` names the thing."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class NoParameters:
    """The probe takes none."""


Found = Reading | Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A declared probe. `read(visit, parameters)` yields readings and failures, and may raise ProbeFailedError.

    What it yielded before it raised or ran out of time counts. `parameters` is a config declaration
    (core.config.reader). `may_block` gives each run a thread of its own; without it the function must read from
    kernel memory only. An async generator is awaited in the loop and cancelled at its timeout.
    """

    name: str
    items: tuple[Item, ...]
    parameters: type[Any]
    read: Callable[[Visit, Any], Iterator[Found] | AsyncIterator[Found]]
    timeout_seconds: float
    may_block: bool


def probe(
    name: str,
    *,
    items: Sequence[Item],
    parameters: type[Any] = NoParameters,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    may_block: bool = False,
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
        )

    return declare
