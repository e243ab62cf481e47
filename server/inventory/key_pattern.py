"""Patterns of item keys and names: `*` stands for any letters, `?` for one; everything else for itself."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, Field

from server.inventory.vocabulary import check_line


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"([*?])", re.sub(r"\*+", "*", pattern))
    return re.compile("".join({"*": ".*?", "?": "."}.get(part, re.escape(part)) for part in parts), re.DOTALL)


def fits(pattern: str, text: str) -> bool:
    """Tell whether the whole text fits the pattern; brackets of an item's parameter stand for themselves."""
    return _compiled(pattern).fullmatch(text) is not None


def check_pattern(text: str) -> str:
    """Return a pattern of one printable line with at most 8 stars, so that matching stays cheap. Raises ValueError."""
    if len(re.findall(r"\*+", text)) > 8:
        raise ValueError("expected at most 8 stars in a pattern")
    return check_line(text)


KeyPattern = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(check_pattern)]
