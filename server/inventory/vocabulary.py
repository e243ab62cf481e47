"""What every definition is made of: its kinds, its base, and the words its fields are made of."""

from __future__ import annotations

import re
from datetime import timedelta
from enum import IntEnum
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from core.config.reader import parse_duration

Kind = Literal["template", "host", "receiver", "escalation", "waiver", "limit"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
Key = tuple[Kind, str]

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?")
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_LONGEST_INTERVAL: Final = timedelta(days=1)
_SHORTEST_INTERVAL: Final = timedelta(seconds=1)


class Severity(IntEnum):
    """How bad a problem is, mildest first."""

    information = 1
    warning = 2
    average = 3
    high = 4
    disaster = 5


SeverityName = Literal["information", "warning", "average", "high", "disaster"]


def check_name(text: str) -> str:
    """Return a name as definitions and hosts have it. Raises ValueError."""
    if not _NAME.fullmatch(text):
        raise ValueError("expected a name of 1 to 128 letters, digits, dots, dashes or underscores, no blanks")
    return text


def check_line(text: str) -> str:
    """Return one line of printable text. Raises ValueError."""
    if not text.isprintable():
        raise ValueError("expected one line of printable text")
    return text


def _check_title(text: str) -> str:
    for found in PLACEHOLDER.findall(text):
        if found not in ("host", "parameter"):
            raise ValueError(f"expected only the placeholders {{host}} and {{parameter}}, found {{{found}}}")
    return text


def check_text(text: str) -> str:
    """Return printable text of any number of lines. Raises ValueError."""
    if not all(letter.isprintable() or letter == "\n" for letter in text):
        raise ValueError("expected printable text")
    return text


def read_interval(value: object) -> object:
    """Return a duration from its text. Raises ValueError."""
    if isinstance(value, timedelta):
        return value
    found = parse_duration(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError('expected a duration like "10s", "1m" or "2h"')
    return found


def _check_interval(found: timedelta) -> timedelta:
    if not _SHORTEST_INTERVAL <= found <= _LONGEST_INTERVAL:
        raise ValueError("expected a duration from 1s to 1d")
    return found


def write_interval(interval: timedelta) -> str:
    """Write an interval in its largest whole unit, so that 60s and 1m are the same definition."""
    milliseconds = round(interval.total_seconds() * 1000)
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"


def sort_severities(severities: tuple[SeverityName, ...]) -> tuple[SeverityName, ...]:
    """Return severities, each once, mildest first. Raises ValueError."""
    if len(set(severities)) != len(severities):
        raise ValueError("expected each severity once")
    return tuple(sorted(severities, key=lambda name: Severity[name]))


Name = Annotated[str, AfterValidator(check_name)]
Line = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(check_line)]
Title = Annotated[Line, AfterValidator(_check_title)]
Text = Annotated[str, Field(max_length=10_000), AfterValidator(check_text)]
Interval = Annotated[
    timedelta,
    BeforeValidator(read_interval),
    AfterValidator(_check_interval),
    PlainSerializer(write_interval, return_type=str),
]


class Part(BaseModel):
    """Base of definitions and of what stands inside them: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Definition(Part):
    """Anything defined under a name; `body()` is its form in files, in the database and in the API."""

    kind: Kind
    name: Name
    description: Text = ""

    @property
    def key(self) -> Key:
        """Identity of the definition."""
        return (self.kind, self.name)

    def body(self) -> dict[str, Any]:
        """Return the definition as plain JSON values, defaults left out: equal definitions have equal bodies."""
        plain = self.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude_none=True)
        return {"kind": self.kind, "name": self.name} | plain
