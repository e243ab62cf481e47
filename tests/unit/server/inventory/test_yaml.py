from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from server.inventory.yaml import MAX_DEPTH, MAX_FILE_BYTES, MAX_NODES, read_yaml

if TYPE_CHECKING:
    from server.inventory.yaml import Document


def read_one(text: str) -> Document:
    documents, faults = read_yaml(text, "a.yaml")
    assert not faults
    assert len(documents) == 1
    return documents[0]


def test_every_node_knows_its_line_and_column() -> None:
    document = read_one("kind: host\nname: db1\ntags:\n  rack: a4\nlist:\n  - one\n  - two: 2\n")
    assert document.data == {"kind": "host", "name": "db1", "tags": {"rack": "a4"}, "list": ["one", {"two": 2}]}
    assert document.place(("name",)) == (2, 1)
    assert document.place(("tags", "rack")) == (4, 3)
    assert document.place(("list", 1, "two")) == (7, 5)
    assert document.place(("tags", "missing")) == (3, 1), "what is missing is looked for where it belongs"


def test_texts_on_one_line_know_where_their_characters_begin() -> None:
    document = read_one('a: plain\nb: "quoted"\nc: |\n  block\nd: "esc\\t"\n')
    assert document.texts[("a",)] == (1, 4)
    assert document.texts[("b",)] == (2, 5)
    assert ("c",) not in document.texts
    assert ("d",) not in document.texts


def test_scalars_follow_yaml_1_2_so_that_words_and_times_stay_text() -> None:
    data = read_one("a: no\nb: 10:30\nc: true\nd: ~\ne: 1e3\nf: 0x10\ng: 2026-11-21\nh: '5'\ni: 1e999\nj: 12\n").data
    assert data == {
        "a": "no", "b": "10:30", "c": True, "d": None, "e": 1000.0, "f": "0x10", "g": "2026-11-21", "h": "5",
        "i": "1e999", "j": 12,
    }  # fmt: skip


def test_a_duplicate_key_is_a_fault_with_both_lines() -> None:
    documents, faults = read_yaml("name: a\nother: 1\nname: b\n---\nname: c\n", "a.yaml")
    assert [(fault.line, fault.path) for fault in faults] == [(3, "name")]
    assert "line 1" in faults[0].remedy
    assert [document.data for document in documents] == [{"name": "c"}], "the other document is still read"


@pytest.mark.parametrize(
    "text",
    ["a: !!python/object/apply:os.system [id]", "a: !secret x", "!!map {a: 1}", "a: !!binary aGk="],
)
def test_tags_are_faults(text: str) -> None:
    documents, faults = read_yaml(text, "a.yaml")
    assert documents == []
    assert faults
    assert "tag" in faults[0].message


def test_aliases_are_copies() -> None:
    data = read_one("a: &x {b: [1]}\nc: *x\n").data
    assert data["c"] == {"b": [1]}
    assert data["c"] is not data["a"]


@pytest.mark.trial("S-12")
def test_an_alias_bomb_meets_the_limit_before_it_is_expanded() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    documents, faults = read_yaml("\n".join(lines), "bomb.yaml")
    assert documents == []
    assert str(MAX_NODES) in faults[0].message


def test_an_alias_of_itself_and_an_unknown_one_are_faults() -> None:
    _, faults = read_yaml("a: &x [1, *x]\n", "a.yaml")
    assert "contains itself" in faults[0].message
    _, faults = read_yaml("a: *nowhere\n", "a.yaml")
    assert faults


@pytest.mark.parametrize("text", ["[" * 5000, "{a: " * 5000, "a:\n" + "".join(" " * n + "- \n" for n in range(1, 60))])
def test_deep_nesting_meets_the_limit_not_the_stack(text: str) -> None:
    documents, faults = read_yaml(text, "deep.yaml")
    assert documents == []
    assert faults
    deep, _ = read_yaml("[" * MAX_DEPTH + "]" * MAX_DEPTH, "deep.yaml")
    assert len(deep) == 1


def test_a_large_file_is_refused_unread() -> None:
    _, faults = read_yaml("#" * (MAX_FILE_BYTES + 1), "large.yaml")
    assert str(MAX_FILE_BYTES) in faults[0].message


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b"a: 1\nb: \xff\n", 2),
        (b"a: 1\nb: [1\n", 3),
        (b"a: 1\n\tb: 2\n", 2),
        (b"a: 1\nb: \x00\n", 2),
        (b"? [a]\n: 1\n", 1),
    ],
)
def test_what_is_no_yaml_is_a_fault_with_its_line(text: bytes, line: int) -> None:
    documents, faults = read_yaml(text, "a.yaml")
    assert documents == []
    assert len(faults) == 1
    assert abs(faults[0].line - line) <= 1
    assert faults[0].remedy


def test_an_empty_file_holds_no_document() -> None:
    assert read_yaml("# nothing\n", "a.yaml") == ([], [])
