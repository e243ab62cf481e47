"""Reads the language of trigger expressions."""

from __future__ import annotations


class ExpressionError(ValueError):
    """An expression cannot be used; the message says at which column and what was expected.

    `column` counts characters from 1. `problem` is the message without the column.
    """

    def __init__(self, column: int, problem: str) -> None:
        super().__init__(f"column {column}: {problem}")
        self.column = column
        self.problem = problem
