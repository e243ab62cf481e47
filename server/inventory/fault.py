"""One thing that is wrong with a definition: where it stands, what was expected, what to do."""

from __future__ import annotations

import difflib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Fault:
    """A fault and its remedy.

    `line` and `column` count from 1; 0 when the definition did not come from a text. `path` names the place inside
    the document, like `triggers[2].expression`.
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    remedy: str

    def to_json(self) -> dict[str, Any]:
        """Return the form in which the API and `--json` show it."""
        return asdict(self)


def join_path(path: tuple[str | int, ...]) -> str:
    """Write a place inside a document as people do: `triggers[2].expression`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def suggest(word: str, known: Iterable[str]) -> str:
    """Return "Did you mean …?" for a misspelt word, else the list of what is known; a whole sentence."""
    choices = sorted(known)
    # Lower-cased, so that a wrong capital counts as the small mistake it is.
    spelt = {choice.lower(): choice for choice in choices}
    near = difflib.get_close_matches(word.lower(), spelt, n=1, cutoff=0.6)
    if near:
        return f"Did you mean {spelt[near[0]]!r}?"
    if not choices:
        return "None is known here."
    shown = ", ".join(choices[:12])
    return f"Known are: {shown}{', …' if len(choices) > 12 else ''}."
