"""docs/protocol.md says what the code does: its test vectors, its messages, its fields, its limits."""

from __future__ import annotations

import re
from array import array
from dataclasses import fields
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from agent.preference import read_order
from core.model import record
from core.model.record import Origin, iterate, verify
from core.wire import limits
from core.wire.codec import decode_from_collector, decode_from_source, encode
from core.wire.feed_message import pack_structured, pack_text, pack_values
from core.wire.frames import pack_envelope
from core.wire.messages import FROM_COLLECTORS, FROM_SOURCES, REASONS, Configuration
from server.balancing.orders import write_order
from tests.unit.core.test_messages import FROM_COLLECTOR, FROM_SOURCE

DOCUMENT = Path(__file__).parents[3] / "docs" / "protocol.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
VECTORS = {
    name: bytes.fromhex(content.replace("\n", "").replace(" ", ""))
    for name, content in re.findall(r"```vector ([\w-]+)\n(.*?)```", TEXT, re.DOTALL)
}
ORIGIN = Origin(UUID("00112233-4455-6677-8899-aabbccddeeff"), 0x0102030405060708)
AT = 1_700_000_000_000_000
DOCUMENT_VALUE = '{"queue":3,"state":"ready"}'

RECORDS = {
    "record-dictionary": record.pack_dictionary(
        ORIGIN, 1, 1, [record.ItemEntry(number=1, key="cpu.busy", unit="%", description="busy")], AT
    ),
    "record-values": record.pack_values(
        ORIGIN, 2, 1, array("I", [1, 2]), [AT, AT + 1_000_000], array("d", [12.5, -1.0])
    ),
    "record-texts": record.pack_texts(ORIGIN, 3, 1, [3], [AT], ["ok"]),
    "record-structured-dictionary": record.pack_dictionary(
        ORIGIN,
        1,
        1,
        [record.ItemEntry(number=4, key="command.document[queue]", type="structured", description="a document")],
        AT,
    ),
    "record-structured": record.pack_texts(ORIGIN, 3, 1, [4], [AT], [DOCUMENT_VALUE]),
    "record-lost": record.pack_lost(ORIGIN, 4, [(7, 1, 9)], AT),
    "record-closing": record.pack_closing(ORIGIN, 5, [(7, 9)], AT),
}
MESSAGES = {
    **{f"source-{_name}": next(m for m in FROM_SOURCE if type(m) is _kind) for _name, _kind in FROM_SOURCES.items()},
    **{
        f"collector-{_name}": next(m for m in FROM_COLLECTOR if type(m) is _kind)
        for _name, _kind in FROM_COLLECTORS.items()
    },
}
UPSTREAMS = Configuration(
    epoch=7,
    version=3,
    body={"version": 3, "probes": [], "upstreams": write_order(9, [bytes([n]) * 32 for n in (2, 1)])},
)
EXPECTED = {
    **RECORDS,
    "document-upstreams": encode(UPSTREAMS),
    "envelope": pack_envelope(0x1122334455667788, 3),
    "feed-values": pack_values(7, array("q", [AT, AT + 1_000_000]).tobytes(), array("d", [12.5, -1.0]).tobytes()),
    "feed-text": pack_text(0, AT, "ok"),
    "feed-structured": pack_structured(0, AT, DOCUMENT_VALUE),
    **{name: encode(message) for name, message in MESSAGES.items()},
}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_vector_of_the_document_is_what_we_send(name: str) -> None:
    assert VECTORS.get(name) == EXPECTED[name], f"```vector {name}\n{EXPECTED[name].hex()}\n```"


def test_the_document_has_no_vector_nobody_checks() -> None:
    assert VECTORS.keys() == EXPECTED.keys()


@pytest.mark.parametrize("name", RECORDS)
def test_the_vector_of_a_record_is_intact(name: str) -> None:
    ((offset, header),) = iterate(VECTORS[name])
    verify(VECTORS[name], header, offset)


@pytest.mark.parametrize("name", MESSAGES)
def test_the_vector_of_a_message_is_read_as_the_message(name: str) -> None:
    decode: Any = decode_from_source if name.startswith("source-") else decode_from_collector
    assert decode(VECTORS[name]) == MESSAGES[name]


def test_an_agent_reads_the_order_of_the_document() -> None:
    message = decode_from_collector(VECTORS["document-upstreams"])
    assert isinstance(message, Configuration)
    order = read_order(message.body)
    assert order is not None
    assert (order.number, order.keys) == (9, (bytes([2]) * 32, bytes([1]) * 32))


@pytest.mark.parametrize("kind", [*FROM_SOURCES.values(), *FROM_COLLECTORS.values()], ids=lambda kind: kind.__name__)
def test_the_document_names_every_field(kind: type[Any]) -> None:
    name = next(name for names in (FROM_SOURCES, FROM_COLLECTORS) for name, each in names.items() if each is kind)
    direction = "source" if kind in FROM_SOURCES.values() else "collector"
    section = TEXT.split(f"### `{name}` (from the {direction})", 1)[1].split("\n### ", 1)[0].split("\n## ", 1)[0]
    for field in fields(kind):
        assert f"`{field.name}`" in section, f"{name} in the document lacks {field.name}"


def test_the_document_names_every_limit_and_reason() -> None:
    for name in dir(limits):
        value = getattr(limits, name)
        if name.isupper() and isinstance(value, int) and not hasattr(record, name):
            assert re.search(rf"\| `{name}` \| {value} \|", TEXT), f"| `{name}` | {value} |"
    for reason in REASONS:
        assert f"`{reason}`" in TEXT
