"""Reads the language of trigger expressions: from text to a checked tree.

expression := conjunction { "or" conjunction }
conjunction := inversion { "and" inversion }
inversion  := "not" inversion | comparison
comparison := sum [ ("<" | "<=" | ">" | ">=" | "=" | "==" | "!=" | "<>") sum ]
sum        := product { ("+" | "-") product }
product    := factor { ("*" | "/") factor }
factor     := "-" factor | number | duration | call | "(" expression ")"
call       := function "(" [ "host" "(" quoted ")" "," ] item { "," ["-"] (duration | number) } ")"
item       := name [ "[" ( "*" | quoted | parameter ) "]" ]
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from typing import TYPE_CHECKING

from triggers.functions import FUNCTIONS
from triggers.scanner import ExpressionError, Scanner
from triggers.syntax import Arithmetic, Call, Comparison, ItemReference, Logic, Negation, Node, Not, Number, Parsed

if TYPE_CHECKING:
    from triggers.functions import Function

MAX_NESTING = 32
MAX_NODES = 256
MAX_WINDOW_SECONDS = 86400
MIN_WINDOW_SECONDS = 1

__all__ = ["ExpressionError", "parse", "split_key"]

_Rule = Callable[[], Node]


def parse(text: str) -> Parsed:
    """Read `text`; raises ExpressionError naming the column and what was expected there. Takes time linear in it."""
    parser = _Parser(text)
    tree = parser.expression()
    if not parser.scanner.is_at_end:
        raise parser.scanner.expected("an operator or the end of the expression")
    if not parser.calls:
        raise ExpressionError(1, "the expression speaks of no item; a trigger reads items, such as last(cpu.busy) > 90")
    if not _is_condition(tree):
        raise ExpressionError(
            len(text.rstrip()) + 1, "the expression is a number; expected a comparison after it, such as > 90"
        )
    return Parsed(tree=tree, calls=tuple(parser.calls), text=text)


def split_key(key: str) -> tuple[str, str | None]:
    """Split an item's key `name[parameter]`; the parameter is None when there is none."""
    name, bracket, rest = key.partition("[")
    return (name, rest[:-1]) if bracket and rest.endswith("]") else (key, None)


def _is_condition(node: Node) -> bool:
    if isinstance(node, Call):
        return FUNCTIONS[node.function].is_condition
    return isinstance(node, Comparison | Logic | Not)


class _Parser:
    def __init__(self, text: str) -> None:
        self.scanner = Scanner(text)
        self.calls: dict[Call, None] = {}
        self._nesting = 0
        self._nodes = 0

    def expression(self) -> Node:
        return self._logic("or", self._conjunction)

    def _conjunction(self) -> Node:
        return self._logic("and", self._inversion)

    def _logic(self, operator: str, operand: _Rule) -> Node:
        operands = [operand()]
        while self.scanner.take_keyword(operator):
            operands.append(operand())
        return operands[0] if len(operands) == 1 else self._node(Logic(operator=operator, operands=tuple(operands)))

    def _inversion(self) -> Node:
        if not self.scanner.take_keyword("not"):
            return self._comparison()
        return self._node(Not(operand=self._nested(self._inversion)))

    def _comparison(self) -> Node:
        column = self.scanner.column
        left = self._sum()
        operator = self.scanner.take_sign(*_COMPARISONS)
        if operator is None:
            return left
        _require_number(left, column, operator)
        column = self.scanner.column
        right = self._sum()
        _require_number(right, column, operator)
        if self.scanner.take_sign(*_COMPARISONS):
            raise ExpressionError(self.scanner.column, "comparisons cannot be chained; write a < x and x < b")
        return self._node(Comparison(operator=_COMPARISONS[operator], left=left, right=right))

    def _sum(self) -> Node:
        return self._arithmetic(("+", "-"), self._product)

    def _product(self) -> Node:
        return self._arithmetic(("*", "/"), self._factor)

    def _arithmetic(self, operators: tuple[str, str], operand: _Rule) -> Node:
        column = self.scanner.column
        left = operand()
        while operator := self.scanner.take_sign(*operators):
            _require_number(left, column, operator)
            column = self.scanner.column
            right = operand()
            _require_number(right, column, operator)
            left = self._node(Arithmetic(operator=operator, left=left, right=right))
        return left

    def _factor(self) -> Node:
        scanner = self.scanner
        column = scanner.column
        if scanner.take_sign("-"):
            operand = self._nested(self._factor)
            _require_number(operand, column + 1, "-")
            return self._node(Negation(operand=operand))
        if scanner.take_sign("("):
            inner = self._nested(self.expression)
            if not scanner.take_sign(")"):
                raise scanner.expected("an operator or ')'")
            return inner
        if number := scanner.take_number():
            return self._node(Number(value=number[0]))
        for keyword in ("and", "or", "not"):
            if scanner.describe().lower() == repr(keyword):
                raise scanner.expected("a number, a function or '('")
        if word := scanner.take_word():
            return self._node(self._call(word, column))
        raise scanner.expected("a number, a function or '('")

    def _call(self, word: str, column: int) -> Call:
        scanner = self.scanner
        if not scanner.take_sign("("):
            if word in FUNCTIONS:
                raise scanner.expected(f"'(' after {word}, as in {FUNCTIONS[word].example}")
            raise ExpressionError(column, f"{word!r} is not a function; an item is read by one, such as last({word})")
        function = FUNCTIONS.get(word)
        if function is None:
            near = get_close_matches(word.lower(), FUNCTIONS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(FUNCTIONS))}"
            raise ExpressionError(column, f"unknown function {word!r}; {hint}")
        item = self._item(function)
        window_us = self._window(function) if function.has_window else 0
        arguments = tuple(self._argument(function, name) for name in function.numbers)
        if not scanner.take_sign(")"):
            raise scanner.expected(f"')' to end {function.name}, as in {function.example}")
        call = Call(function=function.name, item=item, window_us=window_us, arguments=arguments)
        self.calls[call] = None
        return call

    def _item(self, function: Function) -> ItemReference:
        scanner = self.scanner
        host = None
        name = scanner.take_item_name()
        if name == "host" and scanner.take_sign("("):
            host = scanner.take_quoted()
            if not host:
                raise scanner.expected('a host\'s name in quotes, such as host("db1")')
            if not scanner.take_sign(")"):
                raise scanner.expected("')' after the host's name")
            if not scanner.take_sign(","):
                raise scanner.expected("',' and an item after the host")
            name = scanner.take_item_name()
        if name is None:
            raise scanner.expected(f"an item, as in {function.example}")
        if not scanner.take_sign("["):
            return ItemReference(host=host, name=name)
        is_wildcard = scanner.take_sign("*") is not None
        parameter = None if is_wildcard else (scanner.take_quoted() or scanner.take_parameter())
        if not is_wildcard and parameter is None:
            raise scanner.expected("a parameter, * for each of them, or a parameter in quotes")
        if not scanner.take_sign("]"):
            raise scanner.expected("']' (a parameter with spaces, commas or brackets stands in quotes)")
        return ItemReference(host=host, name=name, parameter=parameter, is_wildcard=is_wildcard)

    def _window(self, function: Function) -> int:
        scanner = self.scanner
        if not scanner.take_sign(","):
            raise scanner.expected(f"',' and a duration, as in {function.example}")
        column, found = scanner.column, scanner.describe()
        number = scanner.take_number()
        if number is None or not number[1]:
            raise ExpressionError(column, f"expected a duration with its unit, such as 30s, 5m or 1h, found {found}")
        if not MIN_WINDOW_SECONDS <= number[0] <= MAX_WINDOW_SECONDS:
            raise ExpressionError(column, f"the window {found} is not between 1s and 1d")
        return round(number[0] * 1_000_000)

    def _argument(self, function: Function, name: str) -> float:
        scanner = self.scanner
        if not scanner.take_sign(","):
            raise scanner.expected(f"',' and the {name}, as in {function.example}")
        sign = -1.0 if scanner.take_sign("-") else 1.0
        number = scanner.take_number()
        if number is None:
            raise scanner.expected(f"a number as {name}, as in {function.example}")
        return sign * number[0]

    def _nested(self, rule: _Rule) -> Node:
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            raise self.scanner.error(f"the expression is nested deeper than {MAX_NESTING} levels")
        inner = rule()
        self._nesting -= 1
        return inner

    def _node(self, node: Node) -> Node:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise self.scanner.error(f"the expression has more than {MAX_NODES} parts")
        return node


_COMPARISONS = {"<": "<", "<=": "<=", ">": ">", ">=": ">=", "=": "=", "==": "=", "!=": "!=", "<>": "!="}


def _require_number(node: Node, column: int, operator: str) -> None:
    if not _is_condition(node):
        return
    if isinstance(node, Call):
        raise ExpressionError(column, f"{node.function}() is already true or false; leave out {operator!r}")
    raise ExpressionError(column, f"expected a number beside {operator!r}, found a condition")
