"""Escalations: who is told of a problem in which steps, and the hours in which receivers are told."""

from collections.abc import Sized
from datetime import timedelta
from typing import Annotated, Final, Literal, Self, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, StrictBool, model_validator

from server.inventory.vocabulary import (
    Definition,
    Interval,
    Line,
    Name,
    Part,
    SeverityName,
    read_interval,
    sort_severities,
    write_interval,
)
from server.media.registry import BY_NAME
from triggers.escalation.hours import parse_hours

_SizedT = TypeVar("_SizedT", bound=Sized)
_LONGEST_DELAY: Final = timedelta(days=30)


def _check_delay(found: timedelta) -> timedelta:
    if not timedelta(0) <= found <= _LONGEST_DELAY:
        raise ValueError("expected a duration from 0s to 30d")
    return found


def _check_hours(text: str) -> str:
    parse_hours(text)
    return " ".join(text.split())


def _check_some(found: _SizedT) -> _SizedT:
    if not found:
        raise ValueError("expected at least one, or the key left out")
    return found


def _check_medium(name: str) -> str:
    if name not in BY_NAME:
        raise ValueError(f"expected a medium: {', '.join(BY_NAME)}")
    return name


Delay = Annotated[
    timedelta,
    BeforeValidator(read_interval),
    AfterValidator(_check_delay),
    PlainSerializer(write_interval, return_type=str),
]
Medium = Annotated[Name, AfterValidator(_check_medium)]
ReceiverHours = Annotated[Line, AfterValidator(_check_hours)]


class Conditions(Part):
    """Which problems an escalation takes: all that are named have to fit; what is left out fits everything.

    Of `groups` the host has to be in one; of `tags` it has to have all.
    """

    severities: (
        Annotated[tuple[SeverityName, ...], AfterValidator(sort_severities), AfterValidator(_check_some)] | None
    ) = None
    groups: Annotated[tuple[Name, ...], Field(max_length=100), AfterValidator(_check_some)] | None = None
    hosts: Annotated[tuple[Name, ...], Field(max_length=1000), AfterValidator(_check_some)] | None = None
    tags: Annotated[dict[Name, Line], Field(max_length=100), AfterValidator(_check_some)] | None = None


class EscalationStep(Part):
    """Whom to tell how long after the opening, and how often."""

    after: Delay = timedelta(0)
    tell: Annotated[tuple[Name, ...], Field(max_length=100), AfterValidator(_check_some)]
    media: Annotated[tuple[Medium, ...], Field(max_length=10), AfterValidator(_check_some)] | None = None
    every: Interval | None = None
    times: Annotated[int, Field(ge=1, le=1000, strict=True)] | None = None
    unless_acknowledged: StrictBool = True

    @model_validator(mode="after")
    def _check_repeats(self) -> Self:
        if self.times is not None and self.times > 1 and self.every is None:
            raise ValueError("expected `every` beside `times`: how long between two notices")
        return self


class EscalationDefinition(Definition):
    """Steps in which the receivers they name are told of problems that fit `for`."""

    kind: Literal["escalation"]
    conditions: Conditions = Field(default=Conditions(), alias="for")
    steps: Annotated[tuple[EscalationStep, ...], Field(max_length=20), AfterValidator(_check_some)]
    recovery: StrictBool = True
    updates: StrictBool = True

    def receivers(self) -> set[str]:
        """Return the names of all whom its steps tell."""
        return {name for step in self.steps for name in step.tell}
