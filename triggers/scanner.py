"""Cuts the text of a trigger expression into its words, on demand of the parser."""

from __future__ import annotations

import math
import re

MAX_LENGTH = 4096

_SPACE = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?P<unit>[A-Za-z]*)")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_ITEM = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]*")
_PARAMETER = re.compile(r"[^\s\"'\[\](),*]+")
_QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_SIGN = re.compile(r"<=|>=|==|!=|<>|[-+*/<>=(),\[\]]")

_FACTORS = {
    "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40,
}  # fmt: skip
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


class ExpressionError(ValueError):
    """An expression cannot be used; the message says at which column and what was expected.

    `column` counts characters from 1. `problem` is the message without the column.
    """

    def __init__(self, column: int, problem: str) -> None:
        super().__init__(f"column {column}: {problem}")
        self.column = column
        self.problem = problem


class Scanner:
    """A place in the text. The `take_` methods move on when the text there fits, and return None when not."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise ExpressionError(MAX_LENGTH + 1, f"the expression is longer than {MAX_LENGTH} characters")
        self._text = text
        self._at = 0
        self._skip_space()

    @property
    def column(self) -> int:
        """Column of the next word, from 1."""
        return self._at + 1

    @property
    def is_at_end(self) -> bool:
        """Tell whether only white space is left."""
        return self._at == len(self._text)

    def error(self, problem: str) -> ExpressionError:
        """Make the error for the next word."""
        return ExpressionError(self.column, problem)

    def expected(self, what: str) -> ExpressionError:
        """Make the error that says what should stand here and what does."""
        return self.error(f"expected {what}, found {self.describe()}")

    def describe(self) -> str:
        """Say what stands here, for an error message."""
        if self.is_at_end:
            return "the end of the expression"
        for form in (_NUMBER, _ITEM, _QUOTED, _SIGN):
            if found := form.match(self._text, self._at):
                word = found[0]
                return repr(word if len(word) <= 40 else word[:37] + "…")
        return repr(self._text[self._at])

    def take_sign(self, *signs: str) -> str | None:
        """Take one of the given signs."""
        found = _SIGN.match(self._text, self._at)
        return self._move(found) if found and found[0] in signs else None

    def take_keyword(self, *keywords: str) -> str | None:
        """Take one of the given words, in upper or lower case; returned in lower case."""
        found = _WORD.match(self._text, self._at)
        return self._move(found).lower() if found and found[0].lower() in keywords else None

    def take_word(self) -> str | None:
        """Take a name: letters, digits, underscores and dots."""
        found = _WORD.match(self._text, self._at)
        return self._move(found) if found else None

    def take_item_name(self) -> str | None:
        """Take an item's name, which may have hyphens too."""
        found = _ITEM.match(self._text, self._at)
        return self._move(found) if found else None

    def take_parameter(self) -> str | None:
        """Take an item's parameter written without quotes."""
        found = _PARAMETER.match(self._text, self._at)
        return self._move(found) if found else None

    def take_quoted(self) -> str | None:
        r"""Take a text in double quotes, in which \" and \\ stand for " and \."""
        found = _QUOTED.match(self._text, self._at)
        if found is None:
            if self._text.startswith('"', self._at):
                raise self.error('this text has no closing "')
            return None
        self._move(found)
        return re.sub(r"\\(.)", r"\1", found[1])

    def take_number(self) -> tuple[float, bool] | None:
        """Take a number or a duration: (value, is it a duration); durations in seconds."""
        found = _NUMBER.match(self._text, self._at)
        if found is None:
            return None
        unit = found["unit"]
        factor = _SECONDS.get(unit) or _FACTORS.get(unit) or (1.0 if not unit else None)
        if factor is None:
            raise self.error(
                f"unknown unit {unit!r} in {found[0]!r}; numbers take K M G T Ki Mi Gi Ti, durations s m h d w"
            )
        value = float(found[0][: len(found[0]) - len(unit)]) * factor
        if not math.isfinite(value):
            raise self.error(f"the number {self.describe()} is too large")
        self._move(found)
        return value, unit in _SECONDS

    def _move(self, found: re.Match[str]) -> str:
        self._at = found.end()
        self._skip_space()
        return found[0]

    def _skip_space(self) -> None:
        found = _SPACE.match(self._text, self._at)
        if found:
            self._at = found.end()
