"""Compiled expressions: binding to items, and Kleene's logic over columns."""

import numpy as np
import pytest

from triggers.compile import Binding, compile_expression

HOST = {
    "cpu.busy": 1,
    "fs.free[/]": 2, "fs.free[/var]": 3, "fs.free[/a b]": 4,
    "fs.total[/]": 5, "fs.total[/var]": 6, "fs.total[/boot]": 7, "fs.freeze[/x]": 8,
}  # fmt: skip


def test_equal_meaning_is_equal_whatever_the_spaces() -> None:
    one, other = (
        compile_expression("avg(a,5m)>90 and last(b)<1K"),
        compile_expression("avg( a , 300s ) > 90 AND last(b) < 1000"),
    )
    assert one == other
    assert hash(one) == hash(other)
    assert one != compile_expression("avg(a,5m)>=90 and last(b)<1K")


def test_an_expression_without_star_makes_one_instance_when_all_its_items_exist() -> None:
    assert compile_expression("last(cpu.busy) > 1").bind(HOST, {}) == [Binding("", (1,))]
    assert compile_expression("last(cpu.busy) + last(fs.free[/]) > 1").bind(HOST, {}) == [Binding("", (1, 2))]
    assert compile_expression("last(cpu.busy) + last(nothing) > 1").bind(HOST, {}) == []


def test_star_makes_an_instance_for_each_parameter_that_all_its_items_have() -> None:
    bindings = compile_expression("last(fs.free[*]) / last(fs.total[*]) < 0.1 and avg(cpu.busy, 1m) > 1").bind(HOST, {})
    assert bindings == [Binding("/", (2, 5, 1)), Binding("/var", (3, 6, 1))]
    assert [binding.parameter for binding in compile_expression("last(fs.free[*]) < 1").bind(HOST, {})] == [
        "/",
        "/a b",
        "/var",
    ]


def test_an_item_read_twice_is_one_reference() -> None:
    compiled = compile_expression("avg(cpu.busy, 5m) > 1 and last(cpu.busy) > 1 and avg(cpu.busy, 5m) < 9")
    assert len(compiled.references) == 1
    assert len(compiled.calls) == 2
    assert compiled.window_seconds == 300


def test_another_hosts_items_are_found_there() -> None:
    compiled = compile_expression('last(host("db1"), pg.up) and last(fs.free[*]) > 1')
    assert compiled.bind({"fs.free[/]": 2}, {"db1": {"pg.up": 70}}) == [Binding("/", (70, 2))]
    assert compiled.bind({"fs.free[/]": 2}, {}) == []


T, F, U = 1.0, 0.0, np.nan


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("last(a) and last(b)", [T, F, U, F, F, F, U, F, U]),
        ("last(a) or last(b)", [T, T, T, T, F, U, T, U, U]),
        ("not last(a) and last(a) = last(a)", [F, F, F, T, T, T, U, U, U]),
        ("not (last(a) or last(b))", [F, F, F, F, T, U, F, U, U]),
        ("last(a) > 0.5", [T, T, T, F, F, F, U, U, U]),
        ("last(a) / last(b) = 1", [T, U, U, F, U, U, U, U, U]),
        ("last(a) - last(b) != 0", [F, T, U, T, F, U, U, U, U]),
        ("last(a) * 0 / last(a) = 0", [T, T, T, U, U, U, U, U, U]),
        ("last(a) <= last(b)", [T, F, U, T, T, U, U, U, U]),
        ("-last(a) + 1 >= 1", [F, F, F, T, T, T, U, U, U]),
    ],
)
def test_unknown_spreads_unless_the_known_side_decides(text: str, wanted: list[float]) -> None:
    a, b = np.array([T, T, T, F, F, F, U, U, U]), np.array([T, F, U, T, F, U, T, F, U])
    compiled = compile_expression(text)
    truth, is_known = compiled.judge([a, b][: len(compiled.calls)])
    np.testing.assert_array_equal(np.where(is_known, truth.astype(float), np.nan), wanted)
