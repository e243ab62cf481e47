"""What `watchkeep tail` prints of numbers, texts and documents."""

from __future__ import annotations

import json
from array import array

import pytest

from core.wire.feed_message import Told
from watchkeep.tail import _lines

AT = array("q", [1_700_000_000_000_000])


@pytest.mark.parametrize(
    ("told", "shown", "value"),
    [
        (Told("h/a/b", 0, AT, array("d", [0.25])), "0.25", 0.25),
        (Told("h/a/b", 0, AT, array("d", [float("nan")])), "nan", None),
        (Told("h/a/b", 0, AT, ('say "x"\n',)), '"say \\"x\\"\\n"', 'say "x"\n'),
        (Told("h/a/b", 0, AT, ('{"a":[1]}',), is_structured=True), '{"a":[1]}', {"a": [1]}),
    ],
)
def test_each_kind_of_value_is_one_line_for_people_and_for_programs(told: Told, shown: str, value: object) -> None:
    (line,) = _lines(told, as_json=False)
    assert line.endswith(f"  {shown}")
    (line,) = _lines(told, as_json=True)
    assert json.loads(line) == {"topic": "h/a/b", "at_us": AT[0], "value": value}
