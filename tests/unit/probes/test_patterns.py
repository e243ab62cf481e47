"""Expressions meet text that others wrote: whatever both are, they end, and what cannot be is told at once."""

from __future__ import annotations

import os

import pytest

from probes.patterns import Choice, check_pattern, check_patterns, find_groups, is_found

# Each takes Python's own expressions longer than anybody waits: backtracking doubles, or squares, with every letter.
HOSTILE = (
    (r"^(a+)+$", "a" * 4000 + "!"),
    (r"(x+x+)+y", "x" * 4000),
    (r"^(\w+\s?)*$", "word " * 800 + "!"),
    (r"(a|aa)+$", "a" * 4000 + "b"),
    (r"a.*a.*a.*a.*a.*a.*b$", "a" * 4000),
    (r"(.*a){25}$", "a" * 24 + "b" * 4000),
)


@pytest.mark.trial("S-10")
@pytest.mark.parametrize(("pattern", "text"), HOSTILE)
def test_an_expression_that_could_backtrack_for_ever_ends_on_hostile_text(pattern: str, text: str) -> None:
    assert check_pattern(pattern) is None
    assert not is_found(pattern, text)
    assert find_groups(pattern, text) is None
    assert Choice(exclude=(pattern,)).takes(text)


@pytest.mark.trial("S-10")
def test_the_costliest_expression_allowed_ends_on_the_longest_page() -> None:
    pattern = "x.{0,200}Q"
    assert check_pattern(pattern) is None
    assert not is_found(pattern, "xyzab " * ((1 << 20) // 6))


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(unclosed", "missing )"),
        ("ERROR(?! ignored)", "invalid perl operator: (?!"),
        (r"(a)\1", r"invalid escape sequence: \1"),
        ("(a{1000}){1000}", "invalid repetition size"),
        ("x.{0,900}Q", "steps where 2000 are allowed"),
        ("a" * 3000, "steps where 2000 are allowed"),
    ],
)
def test_what_cannot_be_used_is_told_with_its_reason(pattern: str, reason: str) -> None:
    complaint = check_pattern(pattern)
    assert complaint is not None
    assert complaint.startswith("expected a regular expression, found ")
    assert reason in complaint
    assert check_patterns(["fine", pattern]) == complaint
    assert len(complaint) < 200


def test_what_is_found_stands_in_the_expressions_named_groups() -> None:
    assert find_groups(r"took (?P<value>[0-9.]+) s( of (?P<text>.+))?", "Übertragung took 3.5 s") == {"value": "3.5"}
    assert find_groups(r"(?P<text>Größe.*)", "die Größe ist 5 €") == {"text": "Größe ist 5 €"}
    assert find_groups("plain", "a plain line") == {}
    assert find_groups("plain", "a line") is None


def test_a_name_that_is_no_text_can_be_chosen_too() -> None:
    assert Choice(include=("^data",)).takes(os.fsdecode(b"data-\xff"))
    assert not Choice(include=(r"^data-\w$",)).takes(os.fsdecode(b"data-\xff"))
