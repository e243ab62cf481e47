"""Gives a document its model; whatever does not fit becomes faults with place, expectation and remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ValidationError

from server.inventory.fault import Fault, join_path, suggest
from server.inventory.model import KINDS, MODELS, RECEIVED_TAG, SAMPLED_TAG, ReceivedItem, SampledItems

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic_core import ErrorDetails

    from server.inventory.model import Definition
    from server.inventory.yaml import Document, Path

_TAGGED: Final[dict[str | int, type[BaseModel]]] = {SAMPLED_TAG: SampledItems, RECEIVED_TAG: ReceivedItem}
_EXPECTED: Final = {
    "string_type": "expected text",
    "string_too_short": "expected some text",
    "bool_type": "expected true or false",
    "tuple_type": "expected a list",
    "dict_type": "expected keys and values",
    "model_type": "expected keys and values",
    "model_attributes_type": "expected keys and values",
}
_REMEDIES: Final = {
    "string_type": "Write text; put quotes around it when it looks like a number, true or null.",
    "bool_type": "Write true or false, without quotes.",
    "tuple_type": "Write a list: one entry a line after a dash, or [one, two].",
    "dict_type": "Write one `key: value` a line, indented.",
    "model_type": "Write one `key: value` a line, indented.",
    "too_long": "Split the definition into several.",
    "too_short": "Name at least one, or leave the key out.",
    "string_too_long": "Make it shorter.",
    "string_too_short": "Write something, or leave the key out.",
}


def shape(document: Document) -> tuple[Definition | None, list[Fault]]:
    """Return the document as a definition, or None and everything that is wrong with its form."""
    data = document.data
    if not isinstance(data, dict):
        remedy = "Begin it with `kind:` and `name:`; separate definitions by a line `---`."
        return None, [fault(document, (), "expected a definition with keys and values", remedy)]
    kind = data.get("kind")
    if kind not in KINDS:
        if "kind" not in data:
            message, remedy = "`kind` is missing", f"Say which kind it is: {', '.join(KINDS)}."
        else:
            message, remedy = f"there is no kind {_show(kind)}", suggest(str(kind), KINDS)
        return None, [fault(document, ("kind",), message, remedy)]
    model = MODELS[kind]
    try:
        return model.model_validate(data), []
    except ValidationError as error:
        details = error.errors(include_url=False)
        return None, list(_explain(document, model, details))


def fault(document: Document, path: Path, message: str, remedy: str) -> Fault:
    """Make a fault of a place in a document."""
    line, column = document.place(path)
    return Fault(file=document.file, line=line, column=column, path=join_path(path), message=message, remedy=remedy)


def _explain(document: Document, model: type[BaseModel], details: Sequence[ErrorDetails]) -> Iterator[Fault]:
    strange = {(d["loc"][:-1], str(d["loc"][-1])) for d in details if d["type"] == "extra_forbidden"}
    explained: set[tuple[tuple[str | int, ...], str]] = set()
    for detail in details:
        if detail["type"] != "extra_forbidden":
            continue
        parent, word = detail["loc"][:-1], str(detail["loc"][-1])
        known = _fields_at(model, parent)
        # A misspelt key and the key it was meant to be are one mistake, not two.
        missing = {str(d["loc"][-1]) for d in details if d["type"] == "missing" and d["loc"][:-1] == parent}
        remedy = suggest(word, missing)
        if remedy.startswith("Did"):
            explained.add((parent, remedy.split("'")[1]))
        else:
            remedy = suggest(word, known)
        yield fault(document, _plain((*parent, word)), f"there is no key {word!r} here", remedy)
    for detail in details:
        place = (detail["loc"][:-1], str(detail["loc"][-1]) if detail["loc"] else "")
        if detail["type"] == "extra_forbidden" or place in explained or place in strange:
            continue
        path = _plain(detail["loc"])
        if detail["type"] == "missing":
            yield fault(document, path, f"`{path[-1]}` is missing", f"Add `{path[-1]}: …`.")
        else:
            yield fault(document, path, *_word(detail))


def _word(detail: ErrorDetails) -> tuple[str, str]:
    kind, context = detail["type"], detail.get("ctx", {})
    shown = _show(detail["input"])
    if kind == "value_error":
        expected = str(context.get("error", detail["msg"]))
        remedy = "Write it as expected." if isinstance(detail["input"], str) else "Complete it as expected."
        return (f"{expected}, found {shown}" if isinstance(detail["input"], str) else expected), remedy
    if kind == "literal_error":
        choices = [
            word.strip().strip("'") for word in str(context.get("expected", "")).replace(" or ", ", ").split(",")
        ]
        return f"{shown} is none of the words known here", suggest(str(detail["input"]), choices)
    expected = _EXPECTED.get(kind, detail["msg"][:1].lower() + detail["msg"][1:])
    return f"{expected}, found {shown}", _REMEDIES.get(kind, "Write it as expected.")


def _show(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict | list):
        return "keys and values" if isinstance(value, dict) else "a list"
    text = repr(value) if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _plain(location: tuple[int | str, ...]) -> Path:
    return tuple(step for step in location if step not in _TAGGED)


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> Mapping[str, Any]:
    """Return the fields of the model that stands at a place inside `model`."""
    found: type[BaseModel] | None = model
    for step in location:
        if step in _TAGGED:
            found = _TAGGED[step]
        elif isinstance(step, str) and found is not None:
            field = found.model_fields.get(step)
            found = None if field is None else _model_in(field.annotation)
    return {} if found is None else found.model_fields


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the one model an annotation speaks of, inside tuples and unions too."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _model_in(inner)
        if found is not None:
            return found
    return None
