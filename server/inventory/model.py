"""What people define: templates, hosts, receivers. Checks and docs derive from these models."""

from __future__ import annotations

import re
from datetime import timedelta
from enum import IntEnum
from typing import Annotated, Any, ClassVar, Final, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    Tag,
    create_model,
    model_validator,
)

from core.config.reader import parse_duration
from server.media.registry import MEDIA

Kind = Literal["template", "host", "receiver"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
Key = tuple[Kind, str]

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?")
_ITEM_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}(?:\.[a-z][a-z0-9_]{0,62}){0,7}")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
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


def _check_name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError("expected a name of 1 to 128 letters, digits, dots, dashes or underscores, no blanks")
    return text


def _check_item_name(text: str) -> str:
    if not _ITEM_NAME.fullmatch(text):
        raise ValueError(
            "expected an item's name like `shop.orders`: small letters, digits and underscores, dots between"
        )
    return text


def _check_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("expected one line of printable text")
    return text


def _check_title(text: str) -> str:
    for found in _PLACEHOLDER.findall(text):
        if found not in ("host", "parameter"):
            raise ValueError(f"expected only the placeholders {{host}} and {{parameter}}, found {{{found}}}")
    return text


def _check_text(text: str) -> str:
    if not all(letter.isprintable() or letter == "\n" for letter in text):
        raise ValueError("expected printable text")
    return text


def _read_interval(value: object) -> object:
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


def _sort_severities(severities: tuple[SeverityName, ...]) -> tuple[SeverityName, ...]:
    if len(set(severities)) != len(severities):
        raise ValueError("expected each severity once")
    return tuple(sorted(severities, key=lambda name: Severity[name]))


Name = Annotated[str, AfterValidator(_check_name)]
Line = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_check_line)]
Title = Annotated[Line, AfterValidator(_check_title)]
Text = Annotated[str, Field(max_length=10_000), AfterValidator(_check_text)]
Interval = Annotated[
    timedelta,
    BeforeValidator(_read_interval),
    AfterValidator(_check_interval),
    PlainSerializer(write_interval, return_type=str),
]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SampledItems(_Part):
    """Items an agent reads by a probe, all of the probe's at once."""

    probe: Name
    every: Interval
    parameters: dict[str, Any] = {}


class ReceivedItem(_Part):
    """An item that comes by itself, from a program that publishes it."""

    item: Annotated[str, AfterValidator(_check_item_name)]
    type: Literal["number", "text"] = "number"
    unit: Annotated[str, Field(max_length=32), AfterValidator(_check_line)] = ""
    description: Text = ""


SAMPLED_TAG: Final = "(sampled)"
RECEIVED_TAG: Final = "(received)"


def _choose_item_form(value: Any) -> str:
    is_received = "item" in value if isinstance(value, dict) else isinstance(value, ReceivedItem)
    return RECEIVED_TAG if is_received else SAMPLED_TAG


TemplateItem = Annotated[
    Annotated[SampledItems, Tag(SAMPLED_TAG)] | Annotated[ReceivedItem, Tag(RECEIVED_TAG)],
    Discriminator(_choose_item_form),
]


class TriggerDefinition(_Part):
    """What counts as a problem, and how bad it is. `name` may hold {host} and {parameter}."""

    name: Title
    expression: Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(_check_text)]
    severity: SeverityName
    description: Text = ""

    def title(self, host: str, parameter: str) -> str:
        """Return the problem's name. Replaced in one pass, so that a parameter holding "{host}" stays as it is."""
        values = {"host": host, "parameter": parameter}
        return _PLACEHOLDER.sub(lambda match: values[match[1]], self.name)


class Definition(_Part):
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
        plain = self.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
        return {"kind": self.kind, "name": self.name} | plain


class Template(Definition):
    """What is measured on a host and what counts as a problem there."""

    kind: Literal["template"]
    items: Annotated[tuple[TemplateItem, ...], Field(max_length=1000)] = ()
    triggers: Annotated[tuple[TriggerDefinition, ...], Field(max_length=1000)] = ()


class HostDefinition(Definition):
    """A watched host and the templates that apply to it."""

    kind: Literal["host"]
    templates: Annotated[tuple[Name, ...], Field(max_length=100)] = ()
    tags: Annotated[dict[Name, Line], Field(max_length=100)] = {}


class ReceiverDefinition(Definition):
    """Who is told of which problems; each medium of the registry is a field of `Receiver`."""

    kind: Literal["receiver"]
    severities: Annotated[tuple[SeverityName, ...], Field(min_length=1), AfterValidator(_sort_severities)] = (
        "information", "warning", "average", "high", "disaster",
    )  # fmt: skip

    media_names: ClassVar[tuple[str, ...]] = tuple(medium.name for medium in MEDIA)

    def media(self) -> dict[str, BaseModel]:
        """Return the settings of each medium this receiver is told by, by the medium's name."""
        return {name: settings for name in self.media_names if (settings := getattr(self, name)) is not None}

    @model_validator(mode="after")
    def _check_media(self) -> Self:
        if not self.media():
            raise ValueError(f"expected at least one medium: {', '.join(self.media_names)}")
        return self


Receiver: Final[type[ReceiverDefinition]] = create_model(
    "Receiver",
    __base__=ReceiverDefinition,
    **{medium.name: (medium.settings | None, None) for medium in MEDIA},  # type: ignore[call-overload]  # fields by name
)

MODELS: Final[dict[Kind, type[Definition]]] = {"template": Template, "host": HostDefinition, "receiver": Receiver}
