"""What a structured value is: bounded JSON documents, equal ones in equal bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.structured import MAX_STRUCTURED_BYTES, MAX_STRUCTURED_DEPTH, StructuredError, canonical, canonical_of

LEAVES = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"))
)  # fmt: skip
PARTS = st.recursive(LEAVES, lambda part: st.lists(part, max_size=4) | st.dictionaries(st.text(), part, max_size=4))
DOCUMENTS = (st.lists(PARTS, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), PARTS)).filter(
    lambda document: len(json.dumps(document)) < MAX_STRUCTURED_BYTES
)


@given(DOCUMENTS)
def test_a_document_means_what_it_did_and_its_form_stays(document: Any) -> None:
    try:
        text = canonical(json.dumps(document, indent=1))
    except StructuredError as error:
        assert "deeper" in str(error) or "surrogate" in str(error)  # noqa: PT017 - the generator makes such ones
        return
    assert json.loads(text) == document
    assert canonical(text) == canonical_of(document) == text


def test_equal_documents_have_equal_bytes() -> None:
    one, other = (
        '{"b": [1, 2.50, "ä"], "a": {"y": null, "x": "\\u0000"}}',
        '{"a":{"x":"\\u0000","y":null},"b":[1,2.5,"\\u00e4"]}',
    )
    assert canonical(one) == canonical(other) == '{"a":{"x":"\\u0000","y":null},"b":[1,2.5,"ä"]}'


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is no JSON document"),
        ('{"a": 1', "is no JSON document"),
        ("7", "expected a JSON object or list, found 7"),
        ('"x"', "expected a JSON object or list"),
        ('{"a": 1, "a": 2}', "has a key twice"),
        ("[NaN]", "holds what JSON has not"),
        ("[1e400]", "holds what JSON has not"),
        ("[9223372036854775808]", "exceeds 64 bits"),
        ("[" + "9" * 5000 + "]", "is no JSON document"),
        ('["\\ud800"]', "half of a surrogate pair"),
        ("[" * (MAX_STRUCTURED_DEPTH + 1) + "]" * (MAX_STRUCTURED_DEPTH + 1), "nested deeper than 16"),
        ("[" * 30_000 + "]" * 30_000, "nested deeper than 16"),
        ('["' + "x" * MAX_STRUCTURED_BYTES + '"]', "exceeds the limit of 65536"),
        ('["' + "ä" * (MAX_STRUCTURED_BYTES // 2) + '"]', "exceeds the limit of 65536"),
    ],
)
def test_what_is_no_document_is_refused_with_its_reason(text: str, complaint: str) -> None:
    with pytest.raises(StructuredError, match=complaint):
        canonical(text)


def test_the_deepest_document_is_taken() -> None:
    text = "[" * MAX_STRUCTURED_DEPTH + "]" * MAX_STRUCTURED_DEPTH
    assert canonical(text) == text
