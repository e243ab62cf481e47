"""In which records the server says what it knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from core.model.item import ItemDescription
from core.model.record import Kind, iterate, unpack_rows
from core.runtime.clock import SystemClock
from server.own.identity import OWN_KEY
from server.own.source import OwnSource

if TYPE_CHECKING:
    from core.model.record import Header
    from server.intake.reception import Reception


class Kept:
    """Keeps what is put, as the intake's queue does."""

    def __init__(self) -> None:
        self.records: list[tuple[Header, bytes]] = []

    async def put(self, key: bytes, content: bytes) -> None:
        assert key == OWN_KEY
        self.records += [(header, content[at : at + header.record_bytes]) for at, header in iterate(content)]

    def take(self) -> list[tuple[Header, bytes]]:
        taken, self.records = self.records, []
        return taken


def declared(records: list[tuple[Header, bytes]]) -> dict[str, int]:
    rows: list[Any] = [row for header, raw in records if header.kind is Kind.DICTIONARY
                       for row in unpack_rows(raw, header)]  # fmt: skip
    return {f"{row[5]}/{row[1]}": row[0] for row in rows}


def kinds(records: list[tuple[Header, bytes]]) -> list[Kind]:
    return [header.kind for header, _ in records]


async def test_new_items_are_declared_once_and_numbers_go_on() -> None:
    kept = Kept()
    own = OwnSource(cast("Reception", kept), SystemClock())
    load, note = ItemDescription(host="h", key="load"), ItemDescription(host="h", key="note", type="text")
    await own.say([(load, 1.0), (note, "well")])
    first = kept.take()
    assert kinds(first) == [Kind.DICTIONARY, Kind.VALUES, Kind.TEXTS]
    assert declared(first) == {"h/load": 1, "h/note": 2}
    await own.say([(load, 2.0)])
    again = kept.take()
    assert kinds(again) == [Kind.VALUES]
    assert [header.number for header, _ in (*first, *again)] == [1, 2, 3, 4]


async def test_items_of_a_host_that_was_deleted_are_declared_anew_under_numbers_never_used() -> None:
    kept = Kept()
    own = OwnSource(cast("Reception", kept), SystemClock())
    await own.say([(ItemDescription(host="h", key="load"), 1.0), (ItemDescription(host="other", key="load"), 1.0)])
    kept.take()
    own.forget("h")
    await own.say([(ItemDescription(host="h", key="load"), 1.0), (ItemDescription(host="other", key="load"), 1.0)])
    assert declared(kept.take()) == {"h/load": 3}
