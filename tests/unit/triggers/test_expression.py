"""The language: what is understood, and what an operator reads when it is not."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triggers.compile import compile_expression
from triggers.expression import ExpressionError, parse, split_key
from triggers.functions import FUNCTIONS
from triggers.syntax import Arithmetic, Call, Comparison, ItemReference, Logic, Negation, Not, Number


def last(name: str, **more: object) -> Call:
    return Call(function="last", item=ItemReference(name=name, **more))  # type: ignore[arg-type]  # the test's own fields


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_the_example_of_every_function_is_understood(function) -> None:  # type: ignore[no-untyped-def]  # a Function
    text = function.example if function.is_condition else f"{function.example} > 1"
    assert parse(text).calls[0].function == function.name


def test_multiplication_binds_closer_than_addition_than_comparison_than_not_than_and_than_or() -> None:
    a, b, one = last("a"), last("b"), Number(value=1.0)
    tree = parse("last(a) + 1 * -last(b) > 1 and not last(a) < 1 or last(b) = 1").tree
    product = Arithmetic(operator="*", left=one, right=Negation(operand=b))
    assert tree == Logic(
        operator="or",
        operands=(
            Logic(
                operator="and",
                operands=(
                    Comparison(operator=">", left=Arithmetic(operator="+", left=a, right=product), right=one),
                    Not(operand=Comparison(operator="<", left=a, right=one)),
                ),
            ),
            Comparison(operator="=", left=b, right=one),
        ),
    )


def test_operators_of_one_rank_apply_from_the_left_and_parentheses_first() -> None:
    assert parse("last(a) - 1 - 1 > 0") == parse("(last(a) - 1) - 1 > 0")
    assert parse("last(a) - (1 - 1) > 0") != parse("last(a) - 1 - 1 > 0")
    assert parse("last(a) / 2 * 3 > 0") == parse("((last(a) / 2) * 3) > 0")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5.0), (".5", 0.5), ("1.5e3", 1500.0), ("10K", 1e4), ("2M", 2e6), ("3G", 3e9), ("1T", 1e12),
        ("1Ki", 1024.0), ("2Mi", 2.0**21), ("1Gi", 2.0**30), ("1Ti", 2.0**40),
        ("30s", 30.0), ("5m", 300.0), ("1h", 3600.0), ("1d", 86400.0), ("2w", 1209600.0),
    ],
)  # fmt: skip
def test_numbers_take_sizes_and_durations(text: str, value: float) -> None:
    assert parse(f"last(a) > {text}").tree == Comparison(operator=">", left=last("a"), right=Number(value=value))


@pytest.mark.parametrize(
    ("item", "reference"),
    [
        ("cpu.busy", ItemReference(name="cpu.busy")),
        ("a-b_c.d9", ItemReference(name="a-b_c.d9")),
        ("fs.free[/]", ItemReference(name="fs.free", parameter="/")),
        ("fs.free[/mnt/data-1]", ItemReference(name="fs.free", parameter="/mnt/data-1")),
        ('fs.free["/my disk, [1]"]', ItemReference(name="fs.free", parameter="/my disk, [1]")),
        (r'x["a\"b\\c"]', ItemReference(name="x", parameter='a"b\\c')),
        ("fs.free[*]", ItemReference(name="fs.free", is_wildcard=True)),
        ('fs.free["*"]', ItemReference(name="fs.free", parameter="*")),
        ('host("db 1"), pg.up', ItemReference(host="db 1", name="pg.up")),
        ("host", ItemReference(name="host")),
    ],
)
def test_items_are_named_with_parameter_and_host(item: str, reference: ItemReference) -> None:
    assert parse(f"last({item}) > 0").calls == (Call(function="last", item=reference),)


@pytest.mark.parametrize(
    ("text", "column", "problem"),
    [
        ("", 1, "expected a number, a function or '(', found the end of the expression"),
        ("last(a) >", 10, "expected a number, a function or '(', found the end of the expression"),
        ("last(a) > 5 5", 13, "expected an operator or the end of the expression, found '5'"),
        ("(last(a) > 1", 13, "expected an operator or ')', found the end of the expression"),
        ("1 > 2", 1, "the expression speaks of no item; a trigger reads items, such as last(cpu.busy) > 90"),
        ("avg(a, 5m)  ", 11, "the expression is a number; expected a comparison after it, such as > 90"),
        ("cpu.busy > 90", 1, "'cpu.busy' is not a function; an item is read by one, such as last(cpu.busy)"),
        ("avgg(a, 5m) > 1", 1, "unknown function 'avgg'; did you mean avg?"),
        ("avg(a) > 1", 6, "expected ',' and a duration, as in avg(cpu.busy, 5m), found ')'"),
        ("avg(a, 300) > 1", 8, "expected a duration with its unit, such as 30s, 5m or 1h, found '300'"),
        ("avg(a, 2d) > 1", 8, "the window '2d' is not between 1s and 1d"),
        ("avg(a, 0s) > 1", 8, "the window '0s' is not between 1s and 1d"),
        (
            "timeleft(a, 1h) > 1", 15,
            "expected ',' and the threshold, as in timeleft(filesystem.free[/], 1h, 0), found ')'",
        ),
        ("last(a, 5m) > 1", 7, "expected ')' to end last, as in last(cpu.busy), found ','"),
        ("last(a) > 5q", 11, "unknown unit 'q' in '5q'; numbers take K M G T Ki Mi Gi Ti, durations s m h d w"),
        ("last(a) > 1e999", 11, "the number '1e999' is too large"),
        ("1 < last(a) < 5", 15, "comparisons cannot be chained; write a < x and x < b"),
        ("nodata(a, 2m) = 1", 1, "nodata() is already true or false; leave out '='"),
        ("1 + (last(a) > 3) > 1", 5, "expected a number beside '+', found a condition"),
        (
            "last(a[x y]) > 1", 10,
            "expected ']' (a parameter with spaces, commas or brackets stands in quotes), found 'y'",
        ),
        ('last(a["x) > 1', 8, 'this text has no closing "'),
        ('last(host(db1), a) > 1', 11, "expected a host's name in quotes, such as host(\"db1\"), found 'db1'"),
        ("last(a) > 1 ? 2", 13, "expected an operator or the end of the expression, found '?'"),
        ("(" * 40 + "last(a) > 1", 34, "the expression is nested deeper than 32 levels"),
        ("last(a) > 1" + " " * 5000, 4097, "the expression is longer than 4096 characters"),
    ],
)  # fmt: skip
def test_an_error_names_the_column_and_what_was_expected(text: str, column: int, problem: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert (caught.value.column, caught.value.problem) == (column, problem)
    assert str(caught.value) == f"column {column}: {problem}"


def test_an_expression_of_too_many_parts_is_refused() -> None:
    with pytest.raises(ExpressionError, match="more than 256 parts"):
        parse("last(a) > " + "+".join("1" * 300))


PIECES = [
    *("last(", "avg(", "nodata(", "timeleft(", "host(", "a", "cpu.busy", "[", "]", "*", '"', "\\", "(", ")", ",", "5m"),
    *(" and ", " or ", "not ", "-", "+", "/", ">", "<=", "=", "!", "90", "1e", "Ki", " ", "\n", "é", "\x00", "\u0663"),
    *("1h", "last(a) > 1"),
]


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=40).map("".join)))
def test_no_text_makes_the_parser_fail_otherwise_than_by_an_expression_error(text: str) -> None:
    error = None
    try:
        assert parse(text).calls
    except ExpressionError as caught:
        error = caught
    assert error is None or (1 <= error.column <= len(text) + 1 and error.problem)


@pytest.mark.parametrize(
    "text",
    [
        *("(" * 4096, "-" * 4096, "not " * 1024, "last(a)>1 or " * 300 + "x", '"' * 4096, "1" * 4096, "a" * 4096),
        *("last(" * 800, "1+" * 2048, "\\" * 4096, '"' + "\\\\" * 2047, "((1)" * 1000, "last(a" + "[" * 4000),
    ],
)
def test_the_longest_text_is_answered_at_once(text: str) -> None:
    started = time.perf_counter()
    with pytest.raises(ExpressionError):
        parse(text)
    assert time.perf_counter() - started < 0.5


def test_the_deepest_and_widest_expression_allowed_can_be_judged() -> None:
    deep = compile_expression("not " * 31 + "(" + "+".join(["last(a)"] * 100) + " > 1)")
    assert deep.calls == (last("a"),)


def test_a_key_is_split_at_its_first_bracket() -> None:
    assert split_key("cpu.busy") == ("cpu.busy", None)
    assert split_key("fs.free[/a[1]]") == ("fs.free", "/a[1]")
