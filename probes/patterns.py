"""Regular expressions as parameters of probes: what they are found in was written by others, so their time is bounded.

They are RE2's (github.com/google/re2/wiki/Syntax): it takes time in proportion to expression and text, whatever they
are, and lets other threads run. Python's own can take for ever on a line of thirty letters, and holds up all threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST_STEPS: Final = 2000
"""RE2's steps of an expression: times the letters of a text is the most it takes. A letter is one, `.{0,100}` 900."""
_MOST_MEMORY_BYTES: Final = 1 << 20  # of one expression, its remembered states included


def check_pattern(text: str) -> str | None:
    """Return what is wrong with a regular expression, None when it can be used."""
    import re2  # noqa: PLC0415 - an agent whose probes have no expression does without its megabytes

    try:
        steps = _compile(text).programsize
    except re2.error as error:
        reason = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        return f"expected a regular expression, found {text[:60]!r}: {reason} (RE2)"
    if steps > _MOST_STEPS:
        reason = f"it repeats too much, {steps} steps where {_MOST_STEPS} are allowed"
        return f"expected a regular expression, found {text[:60]!r}: {reason}"
    return None


def check_patterns(texts: Iterable[str]) -> str | None:
    """Return what is wrong with the first of several regular expressions that cannot be used."""
    return next((complaint for text in texts if (complaint := check_pattern(text)) is not None), None)


def is_found(pattern: str, text: str) -> bool:
    """Whether the expression is found anywhere in `text`."""
    return _compile(pattern).search(text.encode(errors="replace")) is not None


def find_groups(pattern: str, text: str) -> dict[str, str] | None:
    """Return what the named groups hold at the first place that fits; None when there is no such place."""
    match = _compile(pattern).search(text.encode(errors="replace"))
    if match is None:
        return None
    found = {name.decode(): part for name, part in match.groupdict().items()}
    return {name: part.decode(errors="replace") for name, part in found.items() if part is not None}


@lru_cache(maxsize=64)
def _compile(pattern: str) -> Any:
    """Raises re2.error."""
    import re2  # noqa: PLC0415 - as above

    options = re2.Options()
    options.max_mem = _MOST_MEMORY_BYTES
    options.log_errors = False  # to standard error; they are raised as well
    return re2.compile(pattern.encode(errors="replace"), options)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is included and not excluded. An expression matches anywhere in a name; nothing to include means all."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def takes(self, name: str) -> bool:
        """Whether `name` is chosen."""
        if self.include and not any(is_found(pattern, name) for pattern in self.include):
            return False
        return not any(is_found(pattern, name) for pattern in self.exclude)
