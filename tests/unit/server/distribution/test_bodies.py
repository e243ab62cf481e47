"""What a proxy is told, and what of it is new."""

from __future__ import annotations

from server.distribution.bodies import ROWS_A_MESSAGE, Knowledge, difference, proxy_knowledge, whole
from server.inventory.effective import Inventory
from tests.unit.server.intake.arrivals import AGENT_KEY, OTHER_PROXY_KEY, PROXY_KEY, directory

NOTHING_DEFINED = Inventory(revision=1, templates={}, hosts={}, receivers={}, revisions={})


def test_a_proxy_learns_the_agents_of_its_own_group_only() -> None:
    assert AGENT_KEY in proxy_knowledge(OTHER_PROXY_KEY, directory(), NOTHING_DEFINED).peers
    assert AGENT_KEY not in proxy_knowledge(PROXY_KEY, directory(), NOTHING_DEFINED).peers


def test_only_what_changed_is_told_again() -> None:
    row = (b"1", "agent", "a", b"s", False)
    known = Knowledge(peers={b"1": row, b"2": row}, documents={b"s": {"version": 1}})
    assert difference(known, known) == []
    revoked = (b"1", "agent", "a", b"s", True)
    wanted = Knowledge(peers={b"1": revoked, b"2": row}, documents={b"s": {"version": 1}})
    (body,) = difference(known, wanted)
    assert body == {"full": False, "peers": [list(revoked)], "documents": []}


def test_what_is_no_longer_wanted_makes_everything_be_told_anew() -> None:
    row = (b"1", "agent", "a", b"s", False)
    known = Knowledge(peers={b"1": row, b"2": row})
    (body,) = difference(known, Knowledge(peers={b"1": row}))
    assert body["full"]
    assert body["peers"] == [list(row)]


def test_a_long_list_goes_in_several_messages_of_which_only_the_first_forgets() -> None:
    rows = {str(n).encode(): (str(n).encode(), "agent", "a", b"s", False) for n in range(2 * ROWS_A_MESSAGE + 1)}
    bodies = whole(Knowledge(peers=rows))
    assert [body["full"] for body in bodies] == [True, False, False]
    assert sum(len(body["peers"]) for body in bodies) == len(rows)


def test_an_empty_list_is_told_too_so_that_a_proxy_forgets_what_it_knew() -> None:
    assert whole(Knowledge()) == [{"full": True, "peers": [], "documents": []}]
