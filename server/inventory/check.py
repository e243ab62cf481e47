"""Checks definitions before anything becomes active: every fault of every document at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from server.inventory.fault import suggest
from server.inventory.meaning import judge, judge_entries
from server.inventory.model import KINDS
from server.inventory.remains import remains_of
from server.inventory.shape import fault, shape
from server.inventory.yaml import Document

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from server.inventory.catalogue import Catalogue
    from server.inventory.fault import Fault
    from server.inventory.model import Definition, Key, Kind
    from server.inventory.yaml import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What documents define, where each stands, and all that is wrong; usable only without faults.

    `unfit` are definitions whose form is wrong: they are there, and others may rightly refer to them.
    """

    definitions: dict[Key, Definition]
    documents: dict[Key, Document]
    faults: list[Fault]
    unfit: set[Key]

    def bodies(self) -> dict[Key, dict[str, Any]]:
        """Return the definitions in the form in which they are stored."""
        return {key: definition.body() for key, definition in self.definitions.items()}


def check(documents: Iterable[Document], catalogue: Catalogue) -> Checked:
    """Check each document by itself, and that no two define the same."""
    checked = Checked(definitions={}, documents={}, faults=[], unfit=set())
    for document in documents:
        definition, faults = shape(document)
        checked.faults.extend(faults)
        if definition is None:
            checked.unfit.update(_name_unfit(document))
            if isinstance(document.data, dict) and document.data.get("kind") == "template":
                checked.faults.extend(judge_entries(remains_of(document.data), document, catalogue))
            continue
        checked.faults.extend(judge(definition, document, catalogue))
        first = checked.documents.get(definition.key)
        if first is not None:
            message = f"the {definition.kind} {definition.name!r} is defined twice"
            where = f"{first.file}, line {first.place(())[0]}" if first.places else "above"
            checked.faults.append(fault(document, ("name",), message, f"Remove one of them; the first is in {where}."))
            continue
        checked.definitions[definition.key] = definition
        checked.documents[definition.key] = document
    return checked


def _name_unfit(document: Document) -> set[Key]:
    data = document.data
    if isinstance(data, dict) and data.get("kind") in KINDS and isinstance(data.get("name"), str):
        return {(data["kind"], data["name"])}
    return set()


def check_references(
    resulting: Mapping[Key, Mapping[str, Any]], documents: Mapping[Key, Document], unfit: Collection[Key] = ()
) -> list[Fault]:
    """Check that all that is referred to will exist; `resulting` is everything as it would be, by key.

    What is `unfit` counts as existing, since its own faults are told already. What stays as it is but loses something
    it names is reported too, without a line when no file defines it.
    """
    faults: list[Fault] = []
    names: dict[str, set[str]] = {kind: set() for kind in KINDS}
    for kind, name in (*resulting, *unfit):
        names[kind].add(name)
    for key, body in resulting.items():
        document = documents.get(key) or Document(file=f"(stored) {key[0]} {key[1]}", data=body)
        for path, kind, name in _references(key[0], body):
            if name not in names[kind]:
                message = f"{key[0]} {key[1]!r} names the {kind} {name!r}, which does not exist"
                faults.append(fault(document, path, message, suggest(name, names[kind])))
    return faults


def _references(kind: Kind, body: Mapping[str, Any]) -> Iterator[tuple[Path, Kind, str]]:
    """List what a definition names: where, of which kind, and the name."""
    if kind == "host":
        for place, name in enumerate(body.get("templates", ())):
            yield ("templates", place), "template", name
    elif kind == "escalation":
        for place, name in enumerate(body.get("for", {}).get("hosts", ())):
            yield ("for", "hosts", place), "host", name
        for number, step in enumerate(body["steps"]):
            for place, name in enumerate(step["tell"]):
                yield ("steps", number, "tell", place), "receiver", name
    elif kind in ("waiver", "limit"):
        for place, name in enumerate(body.get("hosts", ())):
            yield ("hosts", place), "host", name


def documents_from_plain(plain: Sequence[Any], origin: str = "request") -> list[Document]:
    """Make documents of plain JSON values: faults then have a path, but no line."""
    count = len(plain)
    return [Document(file=f"{origin}[{place}]" if count > 1 else origin, data=data) for place, data in enumerate(plain)]
