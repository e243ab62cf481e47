"""A record says what was packed, or nothing at all."""

from array import array
from typing import Any
from uuid import UUID

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.record import (
    HEADER_BYTES,
    MAX_BODY_BYTES,
    MAX_BOOT,
    MAX_SPAN_MICROSECONDS,
    MAX_VALUES,
    Header,
    ItemEntry,
    Kind,
    Origin,
    RecordError,
    iterate,
    new_boot,
    pack_closing,
    pack_dictionary,
    pack_lost,
    pack_texts,
    pack_values,
    read_header,
    renumber,
    unpack_rows,
    verify,
)

NUMBERS = st.integers(1, MAX_BOOT)
ORIGINS = st.builds(Origin, st.uuids(), NUMBERS)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
SAMPLES = st.lists(
    st.tuples(st.integers(0, 2**32 - 1), st.integers(0, MAX_SPAN_MICROSECONDS), st.floats(width=64)),
    min_size=1,
    max_size=50,
)
ROWS = st.lists(st.tuples(st.integers(0, 2**32), st.integers(0, MAX_SPAN_MICROSECONDS), TEXT), min_size=1, max_size=20)
BASE = 1_700_000_000_000_000


@st.composite
def packed(draw: st.DrawFn) -> bytes:
    """Any record."""
    origin, number = draw(ORIGINS), draw(NUMBERS)
    kind = draw(st.sampled_from(Kind))
    if kind is Kind.VALUES:
        items, offsets, values = zip(*draw(SAMPLES), strict=True)
        instants = [BASE + offset for offset in offsets]
        return pack_values(origin, number, draw(st.integers(0, 9)), array("I", items), instants, array("d", values))
    if kind is Kind.TEXTS:
        items, offsets, texts = zip(*draw(ROWS), strict=True)
        return pack_texts(origin, number, 1, items, [BASE + offset for offset in offsets], texts)
    if kind is Kind.DICTIONARY:
        entries = [ItemEntry(number=n, key=key) for n, key in enumerate(draw(st.lists(TEXT, max_size=9)), 1)]
        return pack_dictionary(origin, number, draw(st.integers(1, 9)), entries, BASE)
    spans = draw(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), max_size=9))
    if kind is Kind.LOST:
        return pack_lost(origin, number, spans, BASE)
    return pack_closing(origin, number, [(boot, last) for boot, last, _ in spans], BASE)


@given(ORIGINS, NUMBERS, st.integers(0, 2**32 - 1), SAMPLES)
def test_values_come_back_as_columns_bit_for_bit(
    origin: Origin, number: int, dictionary: int, samples: list[tuple[int, int, float]]
) -> None:
    items, values = array("I", [s[0] for s in samples]), array("d", [s[2] for s in samples])
    instants = [BASE + s[1] for s in samples]
    record = pack_values(origin, number, dictionary, items, instants, values)
    header, n = read_header(record), len(samples)
    verify(record, header)
    assert (header.source, header.boot, header.number) == (origin.source.bytes, origin.boot, number)
    assert (header.kind, header.dictionary, header.count) == (Kind.VALUES, dictionary, n)
    assert header.span == max(instants) - min(instants)
    body = record[HEADER_BYTES:]
    assert body[: 4 * n] == items.tobytes()
    assert [header.base_at + offset for offset in array("I", body[4 * n : 8 * n])] == instants
    assert body[8 * n :] == values.tobytes()


@given(ORIGINS, NUMBERS, ROWS)
def test_texts_come_back(origin: Origin, number: int, rows: list[tuple[int, int, str]]) -> None:
    record = pack_texts(origin, number, 3, [r[0] for r in rows], [BASE + r[1] for r in rows], [r[2] for r in rows])
    header = read_header(record)
    verify(record, header)
    found = [(item, header.base_at + offset, text) for item, offset, text in unpack_rows(record, header)]
    assert found == [(item, BASE + offset, text) for item, offset, text in rows]


@given(ORIGINS, st.lists(st.tuples(TEXT, st.sampled_from(["number", "text"]), TEXT, TEXT, TEXT), max_size=20))
def test_a_dictionary_comes_back(origin: Origin, rows: list[tuple[str, str, str, str, str]]) -> None:
    entries = [
        ItemEntry(number=n, key=key, type=kind, unit=unit, description=description, host=host)
        for n, (key, kind, unit, description, host) in enumerate(rows, 1)
    ]
    record = pack_dictionary(origin, 1, 5, entries, BASE)
    header = read_header(record)
    verify(record, header)
    assert header.dictionary == 5
    assert unpack_rows(record, header) == [[n, *row] for n, row in enumerate(rows, 1)]


@given(packed(), st.data())
def test_a_record_cut_short_anywhere_is_refused(record: bytes, data: st.DataObject) -> None:
    part = record[: data.draw(st.integers(0, len(record) - 1))]
    with pytest.raises(RecordError):
        verify(part, read_header(part))
    if part:
        with pytest.raises(RecordError):
            list(iterate(part))


@given(packed(), st.data())
def test_any_flipped_bit_is_noticed(record: bytes, data: st.DataObject) -> None:
    bit = data.draw(st.integers(0, len(record) * 8 - 1))
    damaged = bytearray(record)
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(RecordError):
        verify(bytes(damaged), read_header(bytes(damaged)))


@given(packed(), NUMBERS, NUMBERS)
def test_a_renumbered_record_differs_in_its_name_only(record: bytes, boot: int, number: int) -> None:
    before, fresh = read_header(record), renumber(record, boot, number)
    after = read_header(fresh)
    verify(fresh, after)
    assert (after.boot, after.number, after.source) == (boot, number, before.source)
    assert fresh[HEADER_BYTES:] == record[HEADER_BYTES:]
    assert renumber(fresh, before.boot, before.number) == record


@given(st.lists(packed(), max_size=6))
def test_records_in_a_row_are_walked_one_by_one(many: list[bytes]) -> None:
    joined = b"".join(many)
    walked = list(iterate(joined))
    assert [joined[at : at + header.record_bytes] for at, header in walked] == many


@given(st.binary(max_size=200))
def test_rubbish_is_refused_as_such_and_as_nothing_else(rubbish: bytes) -> None:
    with pytest.raises(RecordError):
        read_header(rubbish)


def _with_body(kind: Kind, count: int, body: bytes) -> tuple[bytes, Header]:
    header = Header(
        kind=kind, source=bytes(16), boot=1, number=1, dictionary=1, count=count, base_at=0, span=0,
        body_bytes=len(body),
    )  # fmt: skip
    return bytes(HEADER_BYTES) + body, header


JSONISH = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=30,
)
KINDS_WITH_ROWS = st.sampled_from([Kind.DICTIONARY, Kind.TEXTS, Kind.LOST, Kind.CLOSING])
SHAPES = {
    Kind.DICTIONARY: (int, str, str, str, str, str),
    Kind.TEXTS: (int, int, str),
    Kind.LOST: (int, int, int),
    Kind.CLOSING: (int, int),
}


@given(KINDS_WITH_ROWS, JSONISH, st.integers(0, 6))
def test_rows_of_another_shape_are_refused(kind: Kind, value: Any, count: int) -> None:
    record, header = _with_body(kind, count, msgpack.packb(value))
    try:
        rows = unpack_rows(record, header)
    except RecordError:
        return
    assert len(rows) == count
    for row in rows:
        assert tuple(type(field) for field in row) == SHAPES[kind]
        assert all(field >= 0 for field in row if isinstance(field, int))


@given(KINDS_WITH_ROWS, st.integers(0, 6), st.binary(max_size=80))
def test_a_hostile_body_raises_record_error_and_nothing_else(kind: Kind, count: int, body: bytes) -> None:
    record, header = _with_body(kind, count, body)
    try:
        rows = unpack_rows(record, header)
    except RecordError:
        return
    assert len(rows) == count


@pytest.mark.parametrize(
    "body",
    [
        b"\x91" * 100_000 + b"\xc0",  # nested deeper than a stack
        b"\xdd\xff\xff\xff\xff",  # claims four thousand million rows
        b"\xdf\xff\xff\xff\xff",
        b"\x91\xc6\xff\xff\xff\xff",
        b"\x91\x92\x01\xff",  # a negative number
        b"\x91\x92\x01\xc3",  # a truth value is no number
        b"\x91\xd7\xff" + b"\xff" * 8,  # a timestamp with too many nanoseconds
        b"\x91\x92\x01\xa1\xff",  # text that is not UTF-8
        b"\x91\x92\x01\x02\x00",  # something after the end
        b"",
    ],
)
def test_a_body_made_to_hurt_is_refused(body: bytes) -> None:
    record, header = _with_body(Kind.CLOSING, 1, body)
    with pytest.raises(RecordError):
        unpack_rows(record, header)


def test_columns_that_make_no_batch_are_refused() -> None:
    origin = Origin(UUID(int=1), 1)
    one, value = array("I", [1]), array("d", [1.0])
    with pytest.raises(RecordError, match="do not make a batch"):
        pack_values(origin, 1, 1, one, [1, 2], value)
    with pytest.raises(RecordError, match="do not make a batch"):
        pack_values(origin, 1, 1, array("I"), [], array("d"))
    with pytest.raises(RecordError, match="spans"):
        pack_values(origin, 1, 1, array("I", [1, 2]), [0, MAX_SPAN_MICROSECONDS + 1], array("d", [1.0, 2.0]))
    many = MAX_VALUES + 1
    with pytest.raises(RecordError, match="do not make a batch"):
        pack_values(origin, 1, 1, array("I", [1]) * many, [1] * many, array("d", [1.0]) * many)
    with pytest.raises(RecordError, match="exceeds the limit"):
        pack_texts(origin, 1, 1, [1], [1], ["x" * (MAX_BODY_BYTES + 1)])


def test_a_boot_is_never_zero_and_fits_sql() -> None:
    assert all(1 <= new_boot() <= MAX_BOOT for _ in range(1000))
