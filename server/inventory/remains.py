"""What of a template can be judged: all of it when its form is right, else the entries that fit by themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from server.inventory.model import ReceivedItem, SampledItems, TriggerDefinition

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from server.inventory.model import Template

# Entries are judged by probe and expression, whatever is wrong with these, which is told as a fault of form.
_STAND_IN_INTERVAL: Final = "1m"
_STAND_IN_SEVERITY: Final = "information"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """A template's items and triggers, each at its place; None where the form hides what is meant."""

    items: Sequence[SampledItems | ReceivedItem | None]
    triggers: Sequence[TriggerDefinition | None]


def entries_of(template: Template) -> Entries:
    """Return everything: the template's form is right."""
    return Entries(items=template.items, triggers=template.triggers)


def remains_of(data: Mapping[str, Any]) -> Entries:
    """Return what can be told of a template's `data` although its form is wrong somewhere."""
    return Entries(
        items=[_read_item(entry) for entry in _list(data.get("items"))],
        triggers=[_read_trigger(entry) for entry in _list(data.get("triggers"))],
    )


def _read_item(entry: Any) -> SampledItems | ReceivedItem | None:
    if not isinstance(entry, dict):
        return None
    try:
        if "item" in entry:
            return ReceivedItem.model_validate({"item": entry["item"]})
        known = {name: entry[name] for name in ("probe", "parameters") if name in entry}
        return SampledItems.model_validate(known | {"every": _STAND_IN_INTERVAL})
    except ValidationError:
        return None


def _read_trigger(entry: Any) -> TriggerDefinition | None:
    if not isinstance(entry, dict):
        return None
    known = {name: entry[name] for name in ("name", "expression") if name in entry}
    try:
        return TriggerDefinition.model_validate(known | {"severity": _STAND_IN_SEVERITY})
    except ValidationError:
        return None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
