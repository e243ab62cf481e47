"""What people define, from templates to limits. Checks and docs derive from these models."""

import re
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, Discriminator, Field, Tag, create_model, model_validator

from server.inventory.access import Polling
from server.inventory.escalations import EscalationDefinition, ReceiverHours
from server.inventory.limits import LimitDefinition
from server.inventory.protection import HostBackup, WaiverDefinition
from server.inventory.retention import RetentionRule
from server.inventory.vocabulary import (
    KINDS,
    PLACEHOLDER,
    Definition,
    Interval,
    Key,
    Kind,
    Line,
    Name,
    Part,
    Severity,
    SeverityName,
    Text,
    Title,
    check_line,
    check_text,
    sort_severities,
    write_interval,
)
from server.media.registry import MEDIA

__all__ = [
    "KINDS",
    "Definition",
    "EscalationDefinition",
    "Interval",
    "Key",
    "Kind",
    "LimitDefinition",
    "Line",
    "Name",
    "Part",
    "Severity",
    "SeverityName",
    "Text",
    "WaiverDefinition",
    "write_interval",
]

_ITEM_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}(?:\.[a-z][a-z0-9_]{0,62}){0,7}")


def _check_item_name(text: str) -> str:
    if not _ITEM_NAME.fullmatch(text):
        raise ValueError(
            "expected an item's name like `shop.orders`: small letters, digits and underscores, dots between"
        )
    return text


class SampledItems(Part):
    """Items an agent reads, or a proxy polls, by a probe: all of the probe's at once."""

    probe: Name
    every: Interval
    parameters: dict[str, Any] = Field(default_factory=dict)


class ReceivedItem(Part):
    """An item that comes by itself, from a program that publishes it."""

    item: Annotated[str, AfterValidator(_check_item_name)]
    type: Literal["number", "text", "structured"] = "number"
    unit: Annotated[str, Field(max_length=32), AfterValidator(check_line)] = ""
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


class TriggerDefinition(Part):
    """What counts as a problem, and how bad it is. `name` may hold {host} and {parameter}."""

    name: Title
    expression: Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(check_text)]
    severity: SeverityName
    description: Text = ""

    def title(self, host: str, parameter: str) -> str:
        """Return the problem's name. Replaced in one pass, so that a parameter holding "{host}" stays as it is."""
        values = {"host": host, "parameter": parameter}
        return PLACEHOLDER.sub(lambda match: values[match[1]], self.name)


class Template(Definition):
    """What is measured on a host and what counts as a problem there."""

    kind: Literal["template"]
    items: Annotated[tuple[TemplateItem, ...], Field(max_length=1000)] = ()
    triggers: Annotated[tuple[TriggerDefinition, ...], Field(max_length=1000)] = ()
    retention: Annotated[tuple[RetentionRule, ...], Field(max_length=100)] = ()


class HostDefinition(Definition):
    """A watched host and the templates that apply to it."""

    kind: Literal["host"]
    templates: Annotated[tuple[Name, ...], Field(max_length=100)] = ()
    groups: Annotated[tuple[Name, ...], Field(max_length=100)] = ()
    polling: Polling | None = None
    backup: HostBackup | None = None
    retention: Annotated[tuple[RetentionRule, ...], Field(max_length=100)] = ()
    tags: Annotated[dict[Name, Line], Field(max_length=100, default_factory=dict)]


class ReceiverDefinition(Definition):
    """Who is told of which problems; each medium of the registry is a field of `Receiver`."""

    kind: Literal["receiver"]
    severities: Annotated[tuple[SeverityName, ...], Field(min_length=1), AfterValidator(sort_severities)] = (
        "information", "warning", "average", "high", "disaster",
    )  # fmt: skip
    hours: ReceiverHours | None = None
    user: Line | None = None

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

MODELS: Final[dict[Kind, type[Definition]]] = {
    "template": Template,
    "host": HostDefinition,
    "receiver": Receiver,
    "escalation": EscalationDefinition,
    "waiver": WaiverDefinition,
    "limit": LimitDefinition,
}
