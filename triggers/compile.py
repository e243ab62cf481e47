"""Turns the text of a trigger expression into something that is evaluated over columns and bound to items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemReference:
    """An item an expression speaks of.

    `host` is None for the host the trigger is bound to. `parameter` is None for an item without one; with
    `is_wildcard` the parameter is chosen when the expression is bound.
    """

    host: str | None
    name: str
    parameter: str | None
    is_wildcard: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """One instance an expression makes on a host: the parameter `[*]` stands for ("" without `[*]`) and its items."""

    parameter: str
    items: tuple[int, ...]


class Compiled:
    """An expression, checked. Immutable; equal and hashable by meaning (white space does not matter).

    `text` as it was written; `references` the items it speaks of, each once, in order of appearance.
    """

    text: str
    references: tuple[ItemReference, ...]

    @property
    def has_wildcard(self) -> bool:
        """Tell whether `[*]` occurs, so that a host may have several instances."""
        raise NotImplementedError

    @property
    def window_seconds(self) -> float:
        """The longest stretch of history its functions look back on; 0 when they only need last values."""
        raise NotImplementedError

    def bind(self, host_items: Mapping[str, int], other_hosts: Mapping[str, Mapping[str, int]]) -> list[Binding]:
        """List the instances on a host whose items are `host_items` (key `name[parameter]` → item id).

        `other_hosts` gives the items of the hosts named by `host("…")`. An instance of which an item does not exist
        (yet) is left out; `[*]` stands for every parameter that all its references have. Sorted by parameter.
        """
        raise NotImplementedError


def compile_expression(text: str) -> Compiled:
    """Parse and check `text`.

    Raises ExpressionError (triggers.expression) with the column and what was expected there.
    """
    raise NotImplementedError
