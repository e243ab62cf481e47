"""Limits: how many backups of which hosts, to which targets, may run at once over all of Watchkeep."""

from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from server.inventory.vocabulary import Definition, Name, read_interval, write_interval

_SHORTEST: Final = timedelta(minutes=1)
_LONGEST: Final = timedelta(days=7)
_PROBE: Final = "backup"
_LEAST_OFTEN_SECONDS: Final = 600.0


def _check_wait(found: timedelta) -> timedelta:
    if not _SHORTEST <= found <= _LONGEST:
        raise ValueError("expected a duration from 1m to 7d")
    return found


class LimitDefinition(Definition):
    """Of the hosts it names (none: all), by name or group, so many runs to its targets (none: any) at once.

    per_host: how many of them a single host may have. A run that got no place for `wait_at_most` begins without.
    """

    kind: Literal["limit"]
    at_once: Annotated[int, Field(strict=True, ge=1, le=10_000)]
    per_host: Annotated[int, Field(strict=True, ge=1, le=100)] = 1
    hosts: Annotated[tuple[Name, ...], Field(max_length=1000)] = ()
    groups: Annotated[tuple[Name, ...], Field(max_length=100)] = ()
    targets: Annotated[tuple[Name, ...], Field(max_length=100)] = ()
    wait_at_most: Annotated[
        timedelta,
        BeforeValidator(read_interval),
        AfterValidator(_check_wait),
        PlainSerializer(write_interval, return_type=str),
    ] = timedelta(hours=6)

    def is_for(self, targets: Collection[str]) -> bool:
        """Tell whether a run to these targets counts."""
        return not self.targets or any(target in self.targets for target in targets)

    def told(self) -> dict[str, Any]:
        """Return what an agent is told of it."""
        return {
            "name": self.name,
            "targets": list(self.targets),
            "wait_at_most_seconds": self.wait_at_most.total_seconds(),
        }


def with_claims(probes: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    """Return what an agent is to sample so that its claims of places are heard; None when it is not asked for them.

    A claim counts for an hour: who samples more rarely would lose his turn.
    """
    found = [dict(each) for each in probes]
    own = [each for each in found if each["probe"] == _PROBE and not each["parameters"]]
    for each in own:
        each["interval_seconds"] = min(each["interval_seconds"], _LEAST_OFTEN_SECONDS)
    return found if own else None


def limits_by_host(
    limits: Iterable[LimitDefinition], groups_of: Mapping[str, Collection[str]]
) -> dict[str, tuple[LimitDefinition, ...]]:
    """Return the limits of each host that has any; `groups_of`: the groups of every host."""
    found: dict[str, list[LimitDefinition]] = {}
    for limit in limits:
        names, groups = frozenset(limit.hosts), frozenset(limit.groups)
        for name, those in groups_of.items():
            if name in names or not groups.isdisjoint(those) or not (names or groups):
                found.setdefault(name, []).append(limit)
    return {name: tuple(limits) for name, limits in found.items()}
