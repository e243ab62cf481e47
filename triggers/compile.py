"""Turns the text of a trigger expression into something that is evaluated over columns and bound to items."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from triggers.expression import parse, split_key
from triggers.functions import FUNCTIONS
from triggers.syntax import Arithmetic, Call, Comparison, ItemReference, Logic, Negation, Not, Number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from triggers.syntax import Node, Parsed

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

__all__ = ["Binding", "Compiled", "ItemReference", "Outcome", "compile_expression"]


class Binding(NamedTuple):
    """One instance an expression makes on a host: the parameter `[*]` stands for ("" without `[*]`) and its items."""

    parameter: str
    items: tuple[int, ...]


class Outcome(NamedTuple):
    """Three-valued answers as columns of one length: `truth` means something only where `is_known`."""

    truth: Flags
    is_known: Flags


class Compiled:
    """An expression, checked. Immutable; equal and hashable by meaning (white space does not matter).

    `text` as it was written; `calls` its distinct function calls and `references` the distinct items it speaks of,
    both in order of appearance; `reference_of_call` says which item each call reads.
    """

    def __init__(self, parsed: Parsed) -> None:
        self.text = parsed.text
        self.calls: tuple[Call, ...] = parsed.calls
        self.references: tuple[ItemReference, ...] = tuple(dict.fromkeys(call.item for call in parsed.calls))
        places = {reference: place for place, reference in enumerate(self.references)}
        self.reference_of_call = tuple(places[call.item] for call in parsed.calls)
        self._parsed = parsed
        self._condition = _condition(parsed.tree, {call: place for place, call in enumerate(parsed.calls)})
        numeric = (place for place, call in enumerate(parsed.calls) if not FUNCTIONS[call.function].is_condition)
        self.value_call: int | None = next(numeric, None)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Compiled) and self._parsed == other._parsed

    def __hash__(self) -> int:
        return hash(self._parsed)

    def __repr__(self) -> str:
        return f"Compiled({self.text!r})"

    @property
    def has_wildcard(self) -> bool:
        """Tell whether `[*]` occurs, so that a host may have several instances."""
        return any(reference.is_wildcard for reference in self.references)

    @property
    def window_seconds(self) -> float:
        """The longest stretch of history its functions look back on; 0 when they only need last values."""
        return max(call.window_us for call in self.calls) / 1e6

    def value_unit(self, units: Sequence[str]) -> str:
        """Return the unit of an event's value, given the units of `references` in their order; "" for none."""
        if self.value_call is None:
            return ""
        own = FUNCTIONS[self.calls[self.value_call].function].unit
        return units[self.reference_of_call[self.value_call]] if own is None else own

    def judge(self, operands: Sequence[Floats]) -> Outcome:
        """Evaluate for n rows at once: `operands[i]` float64[n] is what `calls[i]` yields, NaN where unknown."""
        with np.errstate(all="ignore"):
            return self._condition(operands)

    def bind(self, host_items: Mapping[str, int], other_hosts: Mapping[str, Mapping[str, int]]) -> list[Binding]:
        """List the instances on a host whose items are `host_items` (key `name[parameter]` → item id).

        `other_hosts` gives the items of the hosts named by `host("…")`. An instance of which an item does not exist
        (yet) is left out; `[*]` stands for every parameter that all its references have. Sorted by parameter.
        """
        nothing: Mapping[str, int] = {}
        items_of = [
            host_items if reference.host is None else other_hosts.get(reference.host, nothing)
            for reference in self.references
        ]
        if not self.has_wildcard:
            fixed = tuple(items.get(ref.key) for ref, items in zip(self.references, items_of, strict=True))
            complete = tuple(item for item in fixed if item is not None)
            return [Binding("", complete)] if len(complete) == len(fixed) else []
        choices: list[Mapping[str, int] | int] = []  # per reference: item by parameter, or the one item
        for reference, items in zip(self.references, items_of, strict=True):
            if reference.is_wildcard:
                choices.append(_by_parameter(reference.name, items))
            elif (item := items.get(reference.key)) is not None:
                choices.append(item)
            else:
                return []
        common = set.intersection(*(set(choice) for choice in choices if not isinstance(choice, int)))
        return [
            Binding(parameter, tuple(choice if isinstance(choice, int) else choice[parameter] for choice in choices))
            for parameter in sorted(common)
        ]


def compile_expression(text: str) -> Compiled:
    """Parse and check `text`.

    Raises ExpressionError (triggers.expression) with the column and what was expected there.
    """
    return Compiled(parse(text))


def _by_parameter(name: str, items: Mapping[str, int]) -> dict[str, int]:
    found = {}
    for key, item in items.items():
        if key.startswith(name):
            item_name, parameter = split_key(key)
            if item_name == name and parameter is not None:
                found[parameter] = item
    return found


_Number = Callable[[Sequence[Floats]], Floats]
_Condition = Callable[[Sequence[Floats]], Outcome]


def _number(node: Node, places: Mapping[Call, int]) -> _Number:
    """Compile a number: NaN is unknown and spreads by itself; a division by zero yields NaN."""
    match node:
        case Number(value=value):
            constant = np.float64(value)
            return lambda operands: np.full_like(operands[0], constant)
        case Call():
            place = places[node]
            return lambda operands: operands[place]
        case Negation(operand=inner):
            inner_number = _number(inner, places)
            return lambda operands: -inner_number(operands)
        case Arithmetic(operator=operator, left=left, right=right):
            compute = _ARITHMETIC[operator]
            left_number, right_number = _number(left, places), _number(right, places)
            return lambda operands: compute(left_number(operands), right_number(operands))
    raise AssertionError(f"{node} is no number")  # the parser lets none through


def _condition(node: Node, places: Mapping[Call, int]) -> _Condition:
    """Compile a condition in Kleene's three-valued logic; a number is true when it is not 0."""
    match node:
        case Comparison(operator=operator, left=left, right=right):
            return _comparison(_COMPARISON[operator], _number(left, places), _number(right, places))
        case Not(operand=inner):
            inner_condition = _condition(inner, places)

            def invert(operands: Sequence[Floats]) -> Outcome:
                outcome = inner_condition(operands)
                return Outcome(~outcome.truth, outcome.is_known)

            return invert
        case Logic(operator=operator, operands=inners):
            return _logic([_condition(inner, places) for inner in inners], is_or=operator == "or")
        case _:
            number = _number(node, places)

            def is_not_zero(operands: Sequence[Floats]) -> Outcome:
                values = number(operands)
                return Outcome(values != 0, ~np.isnan(values))

            return is_not_zero


def _comparison(compare: Callable[[Floats, Floats], Flags], left: _Number, right: _Number) -> _Condition:
    def judge(operands: Sequence[Floats]) -> Outcome:
        left_values, right_values = left(operands), right(operands)
        return Outcome(compare(left_values, right_values), ~(np.isnan(left_values) | np.isnan(right_values)))

    return judge


def _logic(conditions: Sequence[_Condition], *, is_or: bool) -> _Condition:
    """One known operand that decides (true for or, false for and) makes the whole known."""

    def judge(operands: Sequence[Floats]) -> Outcome:
        truth, is_known = conditions[0](operands)
        is_decided = is_known & (truth == is_or)
        for condition in conditions[1:]:
            other = condition(operands)
            is_decided |= other.is_known & (other.truth == is_or)
            is_known = is_known & other.is_known
        return Outcome(is_decided if is_or else ~is_decided, is_known | is_decided)

    return judge


def _divide(dividend: Floats, divisor: Floats) -> Floats:
    return np.where(divisor == 0, np.nan, dividend / divisor)


_ARITHMETIC: dict[str, Callable[[Floats, Floats], Floats]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": _divide,
}
_COMPARISON: dict[str, Callable[[Floats, Floats], Flags]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "=": np.equal,
    "!=": np.not_equal,
}
