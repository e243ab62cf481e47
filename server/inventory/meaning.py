"""Judges what a definition says, once its form is right: probes, parameters, items, expressions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from server.inventory.fault import Fault, join_path, suggest
from server.inventory.model import HostDefinition, LimitDefinition, SampledItems, Template, WaiverDefinition
from server.inventory.remains import entries_of
from server.inventory.shape import fault
from triggers.expression import ExpressionError, parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from server.inventory.catalogue import Catalogue, KnownItem
    from server.inventory.model import Definition, TriggerDefinition
    from server.inventory.remains import Entries
    from server.inventory.yaml import Document, Path
    from triggers.syntax import ItemReference


def judge(definition: Definition, document: Document, catalogue: Catalogue) -> list[Fault]:
    """Return everything that is wrong with what one definition says by itself."""
    if isinstance(definition, Template):
        return judge_entries(entries_of(definition), document, catalogue)
    if isinstance(definition, HostDefinition | LimitDefinition | WaiverDefinition):
        return list(_judge_repeats(definition, document))
    return []


def judge_entries(entries: Entries, document: Document, catalogue: Catalogue) -> list[Fault]:
    """Return everything that is wrong with what a template's entries say; those that are None are left out."""
    items, are_known = _provided(entries, catalogue)
    return [
        *_judge_items(entries, document, catalogue),
        *_judge_triggers(entries, document, items if are_known else None, catalogue),
    ]


_LISTED: Final = (
    ("templates", "template"),
    ("hosts", "host"),
    ("groups", "group"),
    ("targets", "target"),
    ("things", "thing"),
)


def _judge_repeats(
    definition: HostDefinition | LimitDefinition | WaiverDefinition, document: Document
) -> Iterator[Fault]:
    for field, what in _LISTED:
        names = getattr(definition, field, ())
        for place, name in enumerate(names):
            if name in names[:place]:
                yield fault(document, (field, place), f"{what} {name!r} is named twice", "Remove one of them.")


def _judge_items(entries: Entries, document: Document, catalogue: Catalogue) -> Iterator[Fault]:
    seen: list[object] = []
    for place, item in enumerate(entries.items):
        if item is None:
            continue
        identity = (item.probe, item.parameters) if isinstance(item, SampledItems) else item.item
        if identity in seen:
            yield fault(document, ("items", place), "the same is asked for twice", "Remove one of them.")
        seen.append(identity)
        if not isinstance(item, SampledItems):
            continue
        probe = catalogue.probes.get(item.probe)
        if probe is None:
            message = f"there is no probe {item.probe!r}"
            yield fault(document, ("items", place, "probe"), message, suggest(item.probe, catalogue.probes))
            continue
        strange = [name for name in item.parameters if name not in probe.parameters]
        for name in strange:
            message = f"the probe {item.probe!r} has no parameter {name!r}"
            remedy = suggest(name, probe.parameters) if probe.parameters else "Remove it: the probe takes none."
            yield fault(document, ("items", place, "parameters", name), message, remedy)
        if not strange:
            for name, expected in probe.judge(item.parameters):
                path: Path = ("items", place, "parameters", *([name] if name else []))
                yield fault(document, path, expected, f"See the parameters of the probe {item.probe!r}.")


def _provided(entries: Entries, catalogue: Catalogue) -> tuple[dict[str, KnownItem | None], bool]:
    """Return the items a template provides, by name (None: any parameter fits); False when a probe is not known."""
    found: dict[str, KnownItem | None] = dict(catalogue.always)
    are_known = True
    for item in entries.items:
        if item is None:
            are_known = False
        elif not isinstance(item, SampledItems):
            found[item.item] = None
        elif item.probe in catalogue.probes:
            found.update(catalogue.probes[item.probe].items)
        else:
            are_known = False
    return found, are_known


def _judge_triggers(
    entries: Entries, document: Document, items: Mapping[str, KnownItem | None] | None, catalogue: Catalogue
) -> Iterator[Fault]:
    names: set[str] = set()
    for place, trigger in enumerate(entries.triggers):
        if trigger is None:
            continue
        if trigger.name in names:
            message = f"the name {trigger.name!r} is given to two triggers"
            yield fault(document, ("triggers", place, "name"), message, "Give each trigger of a template its own name.")
        names.add(trigger.name)
        yield from _judge_trigger(trigger, place, document, items, catalogue)


def _judge_trigger(
    trigger: TriggerDefinition,
    place: int,
    document: Document,
    items: Mapping[str, KnownItem | None] | None,
    catalogue: Catalogue,
) -> Iterator[Fault]:
    path = ("triggers", place, "expression")
    try:
        parsed = parse(trigger.expression)
    except ExpressionError as error:
        yield _at_column(document, path, error.column, error.problem)
        return
    references = dict.fromkeys(call.item for call in parsed.calls)
    if "{parameter}" in trigger.name and not any(reference.is_wildcard for reference in references):
        message = "{parameter} stands for what [*] found, and the expression has no [*]"
        yield fault(document, ("triggers", place, "name"), message, "Remove {parameter}, or use [*] in the expression.")
    # Items of another host are its own templates' business; without knowing a probe nothing is said about its items.
    for reference in references:
        if reference.host is None and items is not None:
            problem = _judge_reference(reference, items, catalogue)
            if problem is not None:
                yield fault(document, path, *problem)


def _judge_reference(
    reference: ItemReference, items: Mapping[str, KnownItem | None], catalogue: Catalogue
) -> tuple[str, str] | None:
    name = reference.name
    if name not in items:
        owner = next((probe for probe, known in sorted(catalogue.probes.items()) if name in known.items), None)
        if owner is not None:
            return f"no item of this template gives {name!r}", f"Add `- probe: {owner}` to its items."
        everything = set(items).union(*(known.items for known in catalogue.probes.values()))
        hint = suggest(name, everything)
        return (
            f"no item of this template gives {name!r}",
            f"{hint} If a program publishes it, add `- item: {name}` to the items.",
        )
    known = items[name]
    if known is None:
        return None
    is_given = reference.is_wildcard or reference.parameter is not None
    if known.has_parameter and not is_given:
        return f"{name!r} needs a parameter", f"Write `{name}[*]` for all of them, or name one in the brackets."
    if is_given and not known.has_parameter:
        return f"{name!r} has no parameter", f"Write `{name}` without brackets."
    return None


def _at_column(document: Document, path: tuple[str | int, ...], column: int, problem: str) -> Fault:
    """Place a fault inside an expression: on its own line and column where it was written on one line."""
    line, start = document.texts.get(path, (0, 0))
    if not line:
        line, at = document.place(path)
    else:
        at = start + column - 1
    return Fault(
        file=document.file,
        line=line,
        column=at,
        path=join_path(path),
        message=f"the expression is wrong at its column {column}: {problem}",
        remedy="Correct the expression there; docs/definitions.md lists functions and operators.",
    )
