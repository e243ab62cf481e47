"""Reads YAML as plain data with the line of every node, safely: no tags, no duplicate keys, bounded.

Scalars follow the YAML 1.2 core schema, so that `no` and `10:30` stay text. Anchors and aliases work within bounds.
The tree is built from the parser's events without recursion, hence hostile nesting meets a limit, not the stack.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Final

import yaml

from server.inventory.fault import Fault, join_path

MAX_FILE_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 24
MAX_NODES: Final = 100_000
MAX_DOCUMENTS: Final = 10_000

Path = tuple[str | int, ...]
Place = tuple[int, int]

_NULL = re.compile(r"(?:null|Null|NULL|~|)")
_TRUE = re.compile(r"(?:true|True|TRUE)")
_FALSE = re.compile(r"(?:false|False|FALSE)")
_INTEGER = re.compile(r"[-+]?[0-9]{1,30}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,3})?")

# C where the wheel carries libyaml (it always did); the pure parser gives the same events.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One YAML document as plain data.

    `places` holds line and column, from 1, of each node (of its key, if it has one) by its path; `texts` where the
    characters of a value begin that was written on one line without escapes, so that columns inside it can be named.
    """

    file: str
    data: Any
    places: dict[Path, Place] = field(default_factory=dict)
    texts: dict[Path, Place] = field(default_factory=dict)

    def place(self, path: Path) -> Place:
        """Return line and column of `path`, or of the nearest node above it that was written."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.places:
                return self.places[path[:length]]
        return (0, 0)


def read_yaml(text: str | bytes, file: str) -> tuple[list[Document], list[Fault]]:
    """Read every document of a file. What cannot be read becomes faults; documents before the fault are kept."""
    raw = text if isinstance(text, bytes) else text.encode(errors="replace")
    if len(raw) > MAX_FILE_BYTES:
        message = f"the file is {len(raw)} bytes long; the limit is {MAX_FILE_BYTES}"
        return [], [_fault(file, (1, 1), (), message, "Split it into several files; a folder of files is read whole.")]
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return [], [_fault(file, (line, 1), (), "the file is not UTF-8 text", "Save it as UTF-8.")]
    reader = _Reader(file)
    try:
        for event in yaml.parse(text, Loader=_Loader):
            reader.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        problem = " ".join(part for part in (error.context, error.problem) if part)
        reader.report(
            place, (), f"this is not YAML: {problem}", "Check indentation, quotes and colons on and above this line."
        )
    except yaml.YAMLError as error:
        line = text.count("\n", 0, getattr(error, "position", 0) or 0) + 1
        reader.report(
            (line, 1), (), f"this is not YAML: {str(error).splitlines()[0]}", "Remove what is not plain text."
        )
    except _TooMuchError as error:
        reader.report(error.place, error.path, str(error), "Write it flatter or split it into several files.")
    return reader.documents, reader.faults


class _TooMuchError(Exception):
    def __init__(self, message: str, place: Place, path: Path) -> None:
        super().__init__(message)
        self.place = place
        self.path = path


@dataclass(slots=True)
class _Open:
    """A mapping or sequence whose end has not come yet. `key` waits for its value."""

    value: dict[str, Any] | list[Any]
    path: Path
    anchor: str | None
    key: str | None = None
    skipped: bool = False  # the value of a duplicate or unfit key: read, checked, not kept
    nodes: int = 1


@dataclass(slots=True)
class _Anchored:
    value: Any
    path: Path
    nodes: int


@dataclass(slots=True)
class _Reader:
    file: str
    documents: list[Document] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    stack: list[_Open] = field(default_factory=list)
    anchors: dict[str, _Anchored] = field(default_factory=dict)
    places: dict[Path, Place] = field(default_factory=dict)
    texts: dict[Path, Place] = field(default_factory=dict)
    root: Any = None
    nodes: int = 0
    is_sound: bool = True

    def report(self, place: Place, path: Path, message: str, remedy: str) -> None:
        self.faults.append(_fault(self.file, place, path, message, remedy))
        self.is_sound = False

    def take(self, event: Any) -> None:
        place = (event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, yaml.DocumentStartEvent):
            self.places, self.texts, self.anchors, self.root, self.is_sound = {}, {}, {}, None, True
            if len(self.documents) >= MAX_DOCUMENTS:
                raise _TooMuchError(f"the file holds more than {MAX_DOCUMENTS} documents", place, ())
        elif isinstance(event, yaml.DocumentEndEvent):
            if self.is_sound and self.root is not None:
                self.documents.append(Document(file=self.file, data=self.root, places=self.places, texts=self.texts))
        elif isinstance(event, yaml.ScalarEvent):
            self._take_scalar(event, place)
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            self._open(event, place)
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            self._close()
        elif isinstance(event, yaml.AliasEvent):
            self._take_alias(str(event.anchor), place)

    def _is_key_expected(self) -> bool:
        return bool(self.stack) and isinstance(self.stack[-1].value, dict) and self.stack[-1].key is None

    def _child_path(self) -> Path:
        if not self.stack:
            return ()
        parent = self.stack[-1]
        if isinstance(parent.value, list):
            return (*parent.path, len(parent.value))
        return (*parent.path, parent.key or "")

    def _count(self, nodes: int, place: Place) -> None:
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            path = self._child_path()
            raise _TooMuchError(f"the file holds more than {MAX_NODES} values, aliases counted each time", place, path)

    def _take_scalar(self, event: Any, place: Place) -> None:
        self._count(1, place)
        if self._is_key_expected():
            self._take_key(event.value, place)
            return
        path = self._child_path()
        if event.tag not in (None, "!"):
            self.report(
                place, path, f"the tag {event.tag} is not allowed", "Remove the tag: values are plain data here."
            )
        value = _resolve(event.value) if event.implicit[0] else event.value
        width = event.end_mark.column - event.start_mark.column
        quotes = 1 if event.style in ("'", '"') else 0
        if event.end_mark.line == event.start_mark.line and width == len(event.value) + 2 * quotes:
            self.texts[path] = (place[0], place[1] + quotes)
        self._put(value, path, place, event.anchor, 1)

    def _take_key(self, key: str, place: Place) -> None:
        parent = self.stack[-1]
        path = (*parent.path, key)
        if not isinstance(parent.value, dict):
            return
        if key in parent.value:
            first = self.places.get(path, place)[0]
            self.report(
                place, path, f"the key {key!r} is given twice", f"Remove one of them; the first is on line {first}."
            )
            parent.skipped = True
        else:
            self.places[path] = place
        parent.key = key

    def _open(self, event: Any, place: Place) -> None:
        self._count(1, place)
        path = self._child_path()
        if len(self.stack) >= MAX_DEPTH:
            raise _TooMuchError(f"the nesting is deeper than {MAX_DEPTH} levels", place, path)
        if self._is_key_expected():
            raise _TooMuchError("a key has to be a plain word, not a list or mapping", place, path)
        if event.tag not in (None, "!"):
            self.report(
                place, path, f"the tag {event.tag} is not allowed", "Remove the tag: values are plain data here."
            )
        value: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
        self.places.setdefault(path, place)
        self.stack.append(_Open(value=value, path=path, anchor=event.anchor))

    def _close(self) -> None:
        done = self.stack.pop()
        if done.anchor:
            self.anchors[done.anchor] = _Anchored(done.value, done.path, done.nodes)
        self._put(done.value, done.path, None, None, done.nodes)

    def _take_alias(self, name: str, place: Place) -> None:
        path = self._child_path()
        if self._is_key_expected():
            raise _TooMuchError("a key has to be a plain word, not an alias", place, path)
        anchored = self.anchors.get(name)
        if anchored is None:
            open_too = any(level.anchor == name for level in self.stack)
            problem = "contains itself" if open_too else "is not defined above"
            self.report(place, path, f"the alias *{name} {problem}", f"Define &{name} before it is used.")
            self._put(None, path, place, None, 1)
            return
        self._count(anchored.nodes, place)
        self._put(_copy(anchored.value), path, place, None, anchored.nodes)

    def _put(self, value: Any, path: Path, place: Place | None, anchor: str | None, nodes: int) -> None:
        if anchor:
            self.anchors[anchor] = _Anchored(value, path, nodes)
        if place is not None:
            self.places.setdefault(path, place)
        if not self.stack:
            self.root = value
            return
        parent = self.stack[-1]
        parent.nodes += nodes
        if isinstance(parent.value, list):
            parent.value.append(value)
            return
        if not parent.skipped:
            parent.value[parent.key or ""] = value
        parent.key, parent.skipped = None, False


def _resolve(text: str) -> Any:
    """Give a plain scalar its YAML 1.2 core type."""
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text):
        return True
    if _FALSE.fullmatch(text):
        return False
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        return number if isfinite(number) else text
    return text


def _copy(value: Any) -> Any:
    """Copy plain data, so that two aliases never share what one of them may change; depth is bounded by MAX_DEPTH."""
    if isinstance(value, dict):
        return {key: _copy(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_copy(inner) for inner in value]
    return value


def _fault(file: str, place: Place, path: Path, message: str, remedy: str) -> Fault:
    return Fault(file=file, line=place[0], column=place[1], path=join_path(path), message=message, remedy=remedy)
