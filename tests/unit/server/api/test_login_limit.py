from __future__ import annotations

import pytest

from server.api.login_limit import LoginLimit, LoginTerms
from server.api.passwords import WeakPassword, check_new_password, generate_password

TERMS = LoginTerms(tries_per_address=3, tries_per_user=5, window_seconds=60)


def test_an_address_waits_until_its_oldest_try_leaves_the_window() -> None:
    limit = LoginLimit(TERMS)
    assert [limit.begin("10.0.0.1", "admin", now) for now in (0, 10, 20)] == [0, 0, 0]
    assert limit.begin("10.0.0.1", "admin", 21) == 39
    assert limit.begin("10.0.0.2", "admin", 21) == 0
    assert limit.begin("10.0.0.1", "admin", 60) == 0


def test_a_success_forgets_the_addresss_tries() -> None:
    limit = LoginLimit(TERMS)
    for now in range(3):
        limit.begin("10.0.0.1", "admin", now)
    limit.succeeded("10.0.0.1", "admin")
    assert limit.begin("10.0.0.1", "admin", 4) == 0


def test_guesses_from_many_addresses_do_not_lock_a_user_out_of_an_address_he_uses() -> None:
    limit = LoginLimit(TERMS)
    limit.begin("10.0.0.1", "admin", 0)
    limit.succeeded("10.0.0.1", "admin")
    guesses = [limit.begin(f"10.0.1.{n}", "admin", 1) for n in range(20)]
    assert sum(wait == 0 for wait in guesses) == 4  # with the one that succeeded: five
    assert limit.begin("10.0.0.1", "admin", 2) == 0


def test_an_ipv6_attacker_owns_his_whole_network() -> None:
    limit = LoginLimit(TERMS)
    waits = [limit.begin(f"2001:db8::{n:x}", f"user{n}", 0) for n in range(1, 10)]
    assert sum(wait == 0 for wait in waits) == 3
    assert limit.begin("2001:db8:0:1::1", "other", 0) == 0


def test_a_try_that_nobody_judged_does_not_count() -> None:
    limit = LoginLimit(TERMS)
    for now in range(20):
        assert limit.begin("10.0.0.1", "admin", now) == 0
        limit.withdraw("10.0.0.1", "admin", now)
    assert [limit.begin("10.0.0.1", "admin", now) > 0 for now in range(20, 24)] == [False, False, False, True]


def test_memory_is_bounded() -> None:
    limit = LoginLimit(TERMS)
    for n in range(30_000):
        limit.begin(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", f"user{n}", 0)
    assert len(limit._tries) <= 10_000


@pytest.mark.parametrize("bad", ["", "short", "aaaaaaaaaaaaaaaa", "admin12345", "x" * 300])
def test_weak_passwords_are_refused(bad: str) -> None:
    with pytest.raises(WeakPassword):
        check_new_password(bad, "admin")


def test_generated_passwords_are_accepted_and_differ() -> None:
    made = {generate_password() for _ in range(50)}
    assert len(made) == 50
    for password in made:
        check_new_password(password, "admin")
