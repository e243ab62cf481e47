"""Regular expressions as parameters of probes: what is chosen among the things found on a host."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def check_pattern(text: str) -> str | None:
    """Return what is wrong with a regular expression, None when it can be used."""
    try:
        re.compile(text)
    except re.error as error:
        return f"expected a regular expression, found {text[:60]!r}: {error}"
    return None


def check_patterns(texts: Iterable[str]) -> str | None:
    """Return what is wrong with the first of several regular expressions that cannot be used."""
    return next((complaint for text in texts if (complaint := check_pattern(text)) is not None), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is included and not excluded. An expression matches anywhere in a name; nothing to include means all."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def takes(self, name: str) -> bool:
        """Whether `name` is chosen. The compiled expressions are remembered by `re` itself."""
        if self.include and not any(re.search(pattern, name) for pattern in self.include):
            return False
        return not any(re.search(pattern, name) for pattern in self.exclude)
