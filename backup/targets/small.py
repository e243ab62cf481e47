"""Small JSON objects of ours at a target."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from backup.targets.contract import Target

_MOST_BYTES: Final = 64 << 10
_MOST_LETTERS: Final = 200


def read_start(target: Target, name: str) -> bytes:
    """Return a small file's bytes, of a larger one the first 64 KiB. Raises what the target raises."""
    found = b""
    for piece in target.read(name):
        found += piece
        if len(found) > _MOST_BYTES:
            break
    return found[:_MOST_BYTES]


def parse_table(content: bytes, form: str) -> dict[str, Any]:
    """Return the table of a JSON text whose `form` is this one. Raises ValueError."""
    try:
        table = json.loads(content)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(table, dict) or table.get("form") != form:
        raise ValueError(f"its form is not {form!r}")
    return table


def parse_instant(text: str) -> datetime:
    """Return an instant in UTC. Raises ValueError, also at the ends of time, where UTC has no such day."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    try:
        return at.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text!r} is beyond what a clock can show") from error


def plain_text(value: object) -> str:
    """Return what somebody wrote there as it can be shown: bounded, without what controls terminals."""
    return "".join(letter if letter.isprintable() else "?" for letter in _shortened(str(value)))


def _shortened(text: str) -> str:
    """Return a text that is too long up to its last whole word, and that there is more."""
    if len(text) <= _MOST_LETTERS:
        return text
    start = text[: _MOST_LETTERS - 2]
    words = start if text[_MOST_LETTERS - 2].isspace() else start.rpartition(" ")[0]
    return f"{words.rstrip() or start} …"
