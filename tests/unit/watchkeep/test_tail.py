"""Which topics a pattern of `watchkeep tail` means, and what is subscribed to for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeep.tail import matcher_of, prefix_of

TOPICS = ("db1/cpu/busy", "db1/cpu/idle", "db10/cpu/busy", "db1/filesystem/used_percent[/srv]", "web/cpu/busy")


@pytest.mark.parametrize(
    ("patterns", "meant"),
    [
        ((), TOPICS),
        (("db1",), ("db1/cpu/busy", "db1/cpu/idle", "db1/filesystem/used_percent[/srv]")),
        (("db1/",), ("db1/cpu/busy", "db1/cpu/idle", "db1/filesystem/used_percent[/srv]")),
        (("db1/cpu",), ("db1/cpu/busy", "db1/cpu/idle")),
        (("*/cpu/busy",), ("db1/cpu/busy", "db10/cpu/busy", "web/cpu/busy")),
        (("db1?/*",), ("db10/cpu/busy",)),
        (("db1/filesystem/used_percent[/srv]",), ("db1/filesystem/used_percent[/srv]",)),
        (("web", "db1/cpu/b*"), ("db1/cpu/busy", "web/cpu/busy")),
        (("cpu",), ()),
    ],
)
def test_a_pattern_means_its_topic_and_what_is_below(patterns: tuple[str, ...], meant: tuple[str, ...]) -> None:
    matcher = matcher_of(patterns)
    assert tuple(topic for topic in TOPICS if matcher.match(topic)) == meant


@given(st.text("ab/*?", max_size=6), st.text("ab/", max_size=8))
def test_no_topic_a_pattern_means_is_left_out_by_what_is_subscribed_to(pattern: str, topic: str) -> None:
    if matcher_of([pattern]).match(topic):
        assert topic.startswith(prefix_of(pattern).rstrip("/"))
