"""What tokens may do is cut to what their owners may."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from server.store.roles import ROLES, common_groups, is_within, lesser_role

if TYPE_CHECKING:
    from server.store.roles import Groups

WEB, DB, BOTH, NONE = frozenset({"web"}), frozenset({"db"}), frozenset({"web", "db"}), frozenset[str]()


def test_the_lesser_of_two_roles_holds_and_an_unknown_one_is_least() -> None:
    for rank, lesser in enumerate(ROLES):
        for other in ROLES[rank:]:
            assert lesser_role(lesser, other) == lesser_role(other, lesser) == lesser
        assert lesser_role(lesser, "king") == lesser_role("king", lesser) == "king"


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [(None, None, None), (None, WEB, WEB), (WEB, BOTH, WEB), (WEB, DB, NONE), (NONE, None, NONE)],
)
def test_two_restrictions_leave_what_both_allow(one: Groups, other: Groups, both: Groups) -> None:
    assert common_groups(one, other) == common_groups(other, one) == both


@pytest.mark.parametrize(
    ("groups", "limit", "is_in"),
    [
        (WEB, None, True),
        (None, None, True),
        (None, WEB, False),
        (BOTH, WEB, False),
        (WEB, BOTH, True),
        (DB, WEB, False),
    ],
)
def test_nobody_hands_on_more_than_he_sees(groups: Groups, limit: Groups, is_in: bool) -> None:
    assert is_within(groups, limit) == is_in
