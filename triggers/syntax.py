"""The tree of a trigger expression. Equality and hash go by meaning: columns do not count."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemReference:
    """An item an expression speaks of.

    `host` is None for the host the trigger is bound to. `parameter` is None for an item without one, and for a
    wildcard, whose parameter is chosen when the expression is bound.
    """

    host: str | None = None
    name: str
    parameter: str | None = None
    is_wildcard: bool = False

    @property
    def key(self) -> str:
        """The item's key; `[*]` stays in it."""
        if self.is_wildcard:
            return f"{self.name}[*]"
        return self.name if self.parameter is None else f"{self.name}[{self.parameter}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A function of one item: `window_us` is 0 for functions without a window, `arguments` are its further numbers."""

    function: str
    item: ItemReference
    window_us: int = 0
    arguments: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A constant."""

    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Negation:
    """The number with the other sign."""

    operand: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Arithmetic:
    """`operator` is one of + - * /; both sides are numbers."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """`operator` is one of < <= > >= = !=; both sides are numbers."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Logic:
    """`operator` is "and" or "or"; a number among the operands means "is not 0"."""

    operator: str
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    """True when the operand is false."""

    operand: Node


Node = Number | Call | Negation | Arithmetic | Comparison | Logic | Not


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """A checked expression: its tree and its distinct function calls, in order of appearance."""

    tree: Node
    calls: tuple[Call, ...]
    text: str = field(compare=False)
