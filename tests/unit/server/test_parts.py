"""What is reported of Watchkeep's own parts, and in which records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from core.model.record import Kind, iterate, unpack_rows
from server.api.services import PartHealth
from server.parts import MOST_PARTS, PartRecords, judge_parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.model.record import Header

AT = 1_700_000_000_000_000


def part(
    kind: str, name: str, state: Literal["up", "silent", "revoked"] = "up", *faults: str, notes: Sequence[str] = ()
) -> PartHealth:
    return PartHealth(kind=kind, name=name, state=state, faults=faults, notes=notes)


def test_servers_and_proxies_are_reported_agents_only_with_a_fault_or_once_they_had_one() -> None:
    parts = [
        part("server", "a", notes=["the active one"]),
        part("server", "b", "silent"),
        part("proxy", "p", "up", "its disk is full"),
        part("agent", "h1", "silent"),
        part("agent", "h2", "up", "its clock is wrong"),
        part("agent", "h3", notes=["through proxy p"]),
    ]
    wrong = {"server b": "nothing is heard of it", "proxy p": "its disk is full", "agent h2": "its clock is wrong"}
    assert judge_parts(parts) == {"server a": "", **wrong}
    assert judge_parts(parts, ["agent h3"]) == {"server a": "", "agent h3": "", **wrong}


def test_what_is_wrong_is_reported_first_when_there_is_too_much() -> None:
    many = [part("proxy", str(number)) for number in range(2 * MOST_PARTS)]
    found = judge_parts([*many, part("proxy", "last", "up", "full")])
    assert (len(found), found["proxy last"]) == (MOST_PARTS, "full")


def records_of(content: bytes) -> list[tuple[Header, bytes]]:
    return [(header, content[offset : offset + header.record_bytes]) for offset, header in iterate(content)]


def test_a_report_declares_new_parts_and_tells_a_reason_when_it_is_another() -> None:
    records = PartRecords()
    first = records_of(records.pack({"proxy p": "full", "server a": ""}, AT))
    same = records_of(records.pack({"proxy p": "full", "server a": ""}, AT + 5))
    more = records_of(records.pack({"proxy p": "", "server a": "", "proxy q": ""}, AT + 10))
    kinds = [[header.kind for header, _ in each] for each in (first, same, more)]
    whole = [Kind.DICTIONARY, Kind.VALUES, Kind.TEXTS]
    assert kinds == [whole, [Kind.VALUES], whole]
    every = [header for each in (first, same, more) for header, _ in each]
    assert [header.number for header in every] == list(range(1, 8))
    assert len({(header.source, header.boot) for header in every}) == 1
    declared = {row[0]: row[1] for each in (first, more) for row in unpack_rows(each[0][1], each[0][0])}
    assert declared[1] == "watchkeep.part_ok[proxy p]"
    assert declared[6] == "watchkeep.part_state[proxy q]"
    assert [row[0::2] for row in unpack_rows(more[2][1], more[2][0])] == [[2, "ok"], [6, "ok"]]
