"""What the live feed's messages look like, and what they are not."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.wire.feed_message import FeedMessageError, Told, pack_structured, pack_text, pack_values, topic_of, unpack


@pytest.mark.parametrize(
    ("key", "topic"),
    [
        ("cpu.busy", "db1/cpu/busy"),
        ("filesystem.used_percent[/srv/a.b]", "db1/filesystem/used_percent[/srv/a.b]"),
        ("agent.spool.records", "db1/agent/spool.records"),
        ("uptime", "db1/uptime"),
        ("uptime[a.b]", "db1/uptime[a.b]"),
    ],
)
def test_a_topic_is_host_probe_item(key: str, topic: str) -> None:
    assert topic_of("db1", key) == topic


_INSTANTS = st.integers(-(2**63), 2**63 - 1)


@given(st.integers(0, 2**64 - 1), st.lists(st.tuples(_INSTANTS, st.floats(allow_nan=False)), max_size=50))
def test_numbers_are_read_as_they_were_told(before: int, samples: list[tuple[int, float]]) -> None:
    instants = array("q", [at for at, _ in samples])
    values = array("d", [value for _, value in samples])
    body = pack_values(before, instants.tobytes(), values.tobytes())
    assert unpack(b"db1/cpu/busy", body) == Told("db1/cpu/busy", before, instants, values)


@given(_INSTANTS, st.text())
def test_a_text_is_read_as_it_was_told(at_us: int, text: str) -> None:
    text = text.encode("utf-8", "ignore").decode()
    assert unpack(b"a/b", pack_text(7, at_us, text)) == Told("a/b", 7, array("q", [at_us]), (text,))


def test_a_document_is_told_apart_from_a_text() -> None:
    told = unpack(b"a/b", pack_structured(7, 5, '{"a":1}'))
    assert told == Told("a/b", 7, array("q", [5]), ('{"a":1}',), is_structured=True)


@pytest.mark.parametrize(
    ("topic", "body"),
    [
        (b"a", b""),
        (b"a", b"V123"),
        (b"a", pack_values(0, b"", b"") + b"1234567"),
        (b"a", b"X" + bytes(8)),
        (b"a", b"T" + bytes(8) + b"1234"),
        (b"a", b"S" + bytes(8) + b"1234"),
        (b"a", pack_text(0, 0, "")[:-1] + b"\xff\xff"),
        (b"\xff", pack_text(0, 0, "")),
    ],
)
def test_what_is_no_message_is_refused_by_name(topic: bytes, body: bytes) -> None:
    with pytest.raises(FeedMessageError, match="none of the feed's"):
        unpack(topic, body)
