"""Control messages: what is sent is what is read, and nothing else is read."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import MISSING, fields
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.wire import messages as m
from core.wire.codec import MessageError, decode_from_collector, decode_from_source, encode
from core.wire.frames import LARGEST_FRAME_BYTES, FrameError, pack_envelope, read_envelope
from core.wire.limits import MAX_CONTROL_BYTES

SOURCE = bytes(range(16))
KEY = bytes(range(32))
ACKS = (m.Ack(SOURCE, 7, ((1, 5), (9, 9))),)

FROM_SOURCE: list[m.SourceMessage] = [
    m.Hello(
        protocol=1, role="agent", name="db1", source=SOURCE, session=2**64 - 1, boots=((7, 1, 9),), configuration=3,
        epoch=2, software="x 1",
    ),
    m.Hello(
        protocol=1, role="proxy", name="p", source=None, session=0, boots=(), configuration=0, epoch=0, software=""
    ),
    m.Probe(),
    m.SourceHeartbeat(
        session=1, frame=2, boot=3, number=4, clock=-5, held_records=6, held_bytes=7, oldest_at=8, epoch=9
    ),
    m.Presence(
        is_first=True,
        links=(
            m.PresenceRow(
                source=SOURCE, key=KEY, session=1, connected_at=2, heard_at=3, boot=4, number=5, waiting_records=6,
                waiting_bytes=7, skew_us=-8, software="x",
            ),
        ),
    ),
    m.Configured(version=1, error=None),
    m.Configured(version=1, error="no such probe"),
    m.CountersReport(values={"a": 1, "b": 0.5}),
    m.NewKey(old=KEY, new=bytes(32)),
    m.Goodbye(session=1),
]  # fmt: skip
FROM_COLLECTOR: list[m.CollectorMessage] = [
    m.Welcome(
        role="proxy", epoch=1, seen=((7, 9, 3),), stored=((7, ((1, 3), (5, 9))),), session=1, data_port=65_535,
        window=2, clock=3,
    ),
    m.Redirect(endpoints=("tcp://a:1",), reason="standby"),
    m.Refusal(reason="cloned", message="twice", retry_seconds=10),
    m.Receipt(session=1, frame=2, window=0),
    m.Again(session=1, frame=2),
    m.Taken(acks=ACKS),
    m.Stored(acks=ACKS),
    m.Refused(acks=ACKS, reason="too old"),
    m.CollectorHeartbeat(role="server", epoch=1, clock=2, is_active=False),
    m.Configuration(epoch=1, version=2, body={"probes": [{"probe": "cpu", "parameters": {"a": None, "b": b"x"}}]}),
]  # fmt: skip


@pytest.mark.parametrize("message", FROM_SOURCE, ids=lambda message: type(message).__name__)
def test_what_a_source_says_is_what_the_collector_reads(message: m.SourceMessage) -> None:
    assert decode_from_source(encode(message)) == message


@pytest.mark.parametrize("message", FROM_COLLECTOR, ids=lambda message: type(message).__name__)
def test_what_a_collector_says_is_what_the_source_reads(message: m.CollectorMessage) -> None:
    assert decode_from_collector(encode(message)) == message


def test_every_message_is_tried_here() -> None:
    assert {type(message) for message in FROM_SOURCE} == set(m.FROM_SOURCES.values())
    assert {type(message) for message in FROM_COLLECTOR} == set(m.FROM_COLLECTORS.values())


@pytest.mark.parametrize("message", [*FROM_SOURCE, *FROM_COLLECTOR], ids=lambda message: type(message).__name__)
def test_a_message_with_a_field_missing_more_or_of_another_type_is_refused(message: Any) -> None:
    decode = decode_from_source if message in FROM_SOURCE else decode_from_collector
    content = msgpack.unpackb(encode(message))
    with pytest.raises(MessageError, match="unknown fields"):
        decode(msgpack.packb({**content, "more": 1}))
    for field in fields(message):
        with pytest.raises(MessageError, match=f"field {field.name} "):
            decode(msgpack.packb({**content, field.name: [[[]]]}))
        if field.default is MISSING:
            with pytest.raises(MessageError, match=f"lacks the field {field.name}"):
                decode(msgpack.packb({key: value for key, value in content.items() if key != field.name}))


def test_the_two_directions_do_not_mix() -> None:
    with pytest.raises(MessageError, match="unknown message type 'welcome'"):
        decode_from_source(encode(m.Welcome()))
    with pytest.raises(MessageError, match="unknown message type 'hello'"):
        decode_from_collector(encode(FROM_SOURCE[0]))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("role", "root"), ("name", "a\nb"), ("name", "x" * 256), ("name", "\u202e"), ("source", bytes(15)),
        ("session", -1), ("session", True), ("boots", [[0, 1, 1]]), ("boots", [[1, 1]]),
        ("boots", [[2**63, 1, 1]]), ("boots", [[1, 1, 1]] * 5000), ("epoch", 1.0), ("protocol", 0),
    ],
)  # fmt: skip
def test_a_hello_out_of_bounds_is_refused(name: str, value: Any) -> None:
    content = msgpack.unpackb(encode(FROM_SOURCE[0]))
    with pytest.raises(MessageError, match=f"field {name} "):
        decode_from_source(msgpack.packb({**content, name: value}))


@pytest.mark.parametrize("ranges", [[[5, 1]], [[0, 1]], [[1]], [[1, 2, 3]], [["a", "b"]], [[1, 2]] * 20_001])
def test_ranges_that_are_none_are_refused(ranges: Any) -> None:
    with pytest.raises(MessageError, match="field acks "):
        decode_from_collector(msgpack.packb({"type": "stored", "acks": [[SOURCE, 1, ranges]]}))


def test_a_body_nested_too_deep_or_with_other_keys_is_refused() -> None:
    deep: Any = 1
    for _ in range(20):
        deep = {"a": deep}
    for body in (deep, {"a": msgpack.Timestamp(1)}, [1], {b"a": 1}):
        with pytest.raises(MessageError, match="field body "):
            decode_from_collector(msgpack.packb({"type": "configuration", "epoch": 1, "version": 1, "body": body}))


def test_a_message_too_large_is_neither_sent_nor_read() -> None:
    body = {"a": "x" * MAX_CONTROL_BYTES}
    with pytest.raises(MessageError, match="exceeds the limit"):
        encode(m.Configuration(epoch=1, version=1, body=body))
    with pytest.raises(MessageError, match="exceeds the limit"):
        decode_from_source(bytes(MAX_CONTROL_BYTES + 1))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_a_message_error(data: bytes) -> None:
    for decode in (decode_from_source, decode_from_collector):
        with suppress(MessageError):
            encode(decode(data))


_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.sampled_from([*m.FROM_SOURCES, *m.FROM_COLLECTORS]), st.data())
def test_any_values_in_the_fields_are_a_message_or_a_message_error(name: str, data: st.DataObject) -> None:
    kinds: dict[str, Any] = {**m.FROM_SOURCES, **m.FROM_COLLECTORS}
    content = {"type": name} | {field.name: data.draw(_values) for field in fields(kinds[name])}
    packed = msgpack.packb(content)
    for decode in (decode_from_source, decode_from_collector):
        try:
            message: Any = decode(packed)
        except MessageError:
            continue
        assert decode(encode(message)) == message


def test_an_envelope_is_read_as_it_was_packed() -> None:
    envelope = pack_envelope(2**64 - 1, 1)
    assert len(envelope) == 17
    assert read_envelope(envelope, [17, LARGEST_FRAME_BYTES]) == (2**64 - 1, 1)


@pytest.mark.parametrize(
    ("envelope", "sizes"),
    [
        (b"", [0, 1]), (pack_envelope(1, 1)[:-1], [16, 1]), (b"X" + pack_envelope(1, 1)[1:], [17, 1]),
        (b"D" + bytes(16), [17, 1]), (pack_envelope(1, 1), [17]), (pack_envelope(1, 1), [17, 1, 1]),
        (pack_envelope(1, 1), [17, LARGEST_FRAME_BYTES + 1]),
    ],
)  # fmt: skip
def test_an_envelope_that_is_none_is_refused(envelope: bytes, sizes: list[int]) -> None:
    with pytest.raises(FrameError):
        read_envelope(envelope, sizes)
