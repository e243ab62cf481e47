"""What a program of the administrator's prints: a number, a text, a JSON object of them, or a document."""

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from core.config.reader import setting
from core.model.structured import StructuredError, canonical
from probes.allowed import require_allowed
from probes.child import run_program
from probes.declaration import Failure, Item, ProbeFailedError, Reading, Visit, probe

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_SECONDS: Final = 60.0
_MOST_ENTRIES: Final = 200
_DEEPEST: Final = 4


def check_timeout(timeout: timedelta) -> str | None:
    """Return what is wrong with the time a program is given."""
    seconds = timeout.total_seconds()
    return None if 0.1 <= seconds <= LONGEST_SECONDS else f"expected 100ms to {LONGEST_SECONDS:g}s"


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """What to start and how to read it."""

    command: tuple[str, ...] = field(
        metadata=setting(
            "the program's absolute path and its arguments; no shell reads them",
            check=lambda words: None if words else "expected at least the program",
        )
    )
    name: str = field(metadata=setting("name of the command in its items"))
    output: Literal["number", "text", "json", "document"] = field(
        default="number",
        metadata=setting(
            "what it prints: one number, any text, a JSON object of which each entry is an item, or a JSON document "
            "kept whole"
        ),
    )
    timeout: timedelta = field(
        default=timedelta(seconds=10), metadata=setting("time after which it is killed", check=check_timeout)
    )


_ITEMS = (
    Item(key="command.status", unit="", description="Exit status; negative for a signal", parameter="command"),
    Item(key="command.seconds", unit="s", description="Time it took", parameter="command"),
    Item(key="command.value", unit="", description="A number it printed; of JSON command:key", parameter="command"),
    Item(key="command.text", unit="", description="A text it printed", parameter="command", type="text"),
    Item(
        key="command.document", unit="", description="A JSON document it printed", parameter="command",
        type="structured",
    ),
)  # fmt: skip


@probe("command", items=_ITEMS, parameters=Parameters, may_block=True, timeout_seconds=LONGEST_SECONDS + 5)
def run_command(visit: Visit, parameters: Parameters) -> "Iterator[Reading | Failure]":
    """Start the program once, without a shell; what it printed counts only when its exit status is 0."""
    require_allowed(parameters.command[0], visit.commands)
    ended = run_program(parameters.command, parameters.timeout.total_seconds())
    name = parameters.name
    yield Reading("command.status", float(ended.status), name)
    yield Reading("command.seconds", ended.seconds, name)
    if ended.status != 0:
        first = ended.errors.strip().splitlines()[:1]
        raise ProbeFailedError(f"{name} ended with status {ended.status}{': ' + first[0][:200] if first else ''}")
    if parameters.output == "text":
        yield Reading("command.text", ended.output.rstrip("\n"), name)
        if ended.is_cut:
            yield Failure(f"{name} printed more than 64 KiB: the rest is left out")
    elif ended.is_cut:
        raise ProbeFailedError(f"{name} printed more than 64 KiB: nothing of it is used")
    elif parameters.output == "document":
        yield Reading("command.document", _document(name, ended.output), name)
    elif parameters.output == "number":
        yield Reading("command.value", _number(name, ended.output), name)
    else:
        yield from _entries(name, ended.output)


def _number(name: str, output: str) -> float:
    try:
        return float(output.strip())
    except ValueError:
        raise ProbeFailedError(f"{name} printed no number but {output.strip()[:60]!r}") from None


def _document(name: str, output: str) -> str:
    try:
        return canonical(output)
    except StructuredError as error:
        raise ProbeFailedError(f"{name} printed no document: {error}") from None


def _entries(name: str, output: str) -> "Iterator[Reading | Failure]":
    try:
        content = json.loads(output)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise ProbeFailedError(f"{name} printed no JSON object but {output.strip()[:60]!r}")
    entries = list(_flatten(content, "", _DEEPEST))
    for key, value in entries[:_MOST_ENTRIES]:
        if isinstance(value, bool | int | float):
            yield Reading("command.value", float(value), f"{name}:{key}")
        elif isinstance(value, str):
            yield Reading("command.text", value, f"{name}:{key}")
    if len(entries) > _MOST_ENTRIES:
        yield Failure(f"{name} printed {len(entries)} entries: only {_MOST_ENTRIES} are used")


def _flatten(content: dict[str, Any], before: str, depth: int) -> "Iterator[tuple[str, Any]]":
    """Yield the entries of an object, those of an object within it as outer.inner; lists and nulls are left out."""
    for key, value in content.items():
        if isinstance(value, dict) and depth > 1:
            yield from _flatten(value, f"{before}{key}.", depth - 1)
        elif isinstance(value, bool | int | float | str):
            yield f"{before}{key}", value
