"""What is reported of Watchkeep's own parts, and in which records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from server.api.services import PartHealth
from server.own.parts import MOST_PARTS, judge_parts

if TYPE_CHECKING:
    from collections.abc import Sequence


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
