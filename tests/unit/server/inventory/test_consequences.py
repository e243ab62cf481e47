"""A receiver that an escalation names hears of nothing else any more: whoever writes that is told so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from server.inventory.consequences import tell_consequences

if TYPE_CHECKING:
    from server.inventory.model import Key

ANNA: dict[Key, dict[str, Any]] = {("receiver", "anna"): {"kind": "receiver", "name": "anna"}}
LOST = "receiver anna will be told by {} only: of all other problems it hears no more"
WON = "receiver anna will be told at once of every problem of its severities: no escalation names it any more"


def escalation(name: str, *tell: str) -> dict[Key, dict[str, Any]]:
    return {("escalation", name): {"kind": "escalation", "name": name, "steps": [{"tell": [each]} for each in tell]}}


def test_naming_a_receiver_that_was_told_of_everything_is_told() -> None:
    night = escalation("night", "anna", "bert", "anna")
    assert tell_consequences(ANNA, ANNA | night) == [LOST.format("escalation night")]
    both = night | escalation("day", "anna")
    assert tell_consequences(ANNA, ANNA | both) == [LOST.format("escalations day, night")]


def test_naming_it_no_more_is_told_too() -> None:
    assert tell_consequences(ANNA | escalation("night", "anna"), ANNA | escalation("night", "bert")) == [WON]


def test_what_stays_as_it_is_or_comes_or_goes_with_its_receiver_needs_no_words() -> None:
    night = escalation("night", "anna")
    assert tell_consequences(ANNA | night, ANNA | night | escalation("day", "anna")) == []
    assert tell_consequences({}, ANNA | night) == []
    assert tell_consequences(ANNA | night, {}) == []
