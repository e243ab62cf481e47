"""What a MySQL account may, by its own words; and how long its dump's lock is waited for."""

from __future__ import annotations

import pytest

from backup.sources.mysql.mysql_words import LockTooLong, Words
from backup.sources.mysql.rights import missing_rights, needed_rights

_OWN = "GRANT SELECT, SHOW VIEW, EVENT, TRIGGER ON {} TO `u`@`%`"
_GLOBAL = "GRANT FLUSH_TABLES,SHOW_ROUTINE ON *.* TO `u`@`%`"
_BINLOG = "GRANT REPLICATION CLIENT ON *.* TO `u`@`%`"


@pytest.mark.parametrize(
    ("grants", "missing"),
    [
        ([_OWN.format("`a_b`.*"), _GLOBAL, _BINLOG], []),
        ([_OWN.format(r"`a\_%`.*"), _GLOBAL, _BINLOG, "GRANT `role`@`%` TO `u`@`%`"], []),
        (["GRANT ALL PRIVILEGES ON *.* TO `u`@`%` WITH GRANT OPTION"], []),
        (["GRANT ALL PRIVILEGES ON `a_b`.* TO `u`@`%`", "GRANT SELECT, RELOAD, SUPER ON *.* TO `u`@`%`"], []),
        ([_OWN.format("*.*"), _GLOBAL], ["GRANT REPLICATION CLIENT ON *.*"]),
        (
            [_OWN.format(r"`a\_`.*"), _OWN.format("`other`.*"), _GLOBAL, _BINLOG],
            ["GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON `a_b`.*"],
        ),
        (["GRANT SELECT, SHOW VIEW, EVENT, TRIGGER ON `a_b`.`t` TO `u`@`%`", _GLOBAL, _BINLOG],
         ["GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON `a_b`.*"]),
        ([_OWN.format("*.*"), _GLOBAL, _BINLOG, "REVOKE SELECT ON `a_b`.* FROM `u`@`%`"], ["GRANT SELECT ON `a_b`.*"]),
        ([_OWN.format("`a_b`.*"), _BINLOG], ["GRANT SHOW_ROUTINE, FLUSH_TABLES ON *.*"]),
    ],
)  # fmt: skip
def test_rights_that_are_missing_are_named_as_the_statements_that_give_them(
    grants: list[str], missing: list[str]
) -> None:
    assert missing_rights(grants, "a_b", needed_rights(has_position=True)) == missing


def test_the_lock_counts_from_when_mysqldump_comes_until_it_has_its_snapshot() -> None:
    now = 0.0
    words = Words(10.0, clock=lambda: now)
    now = 5.0
    words.hear(b"-- Connecting to local")
    words.hear(b"host...\n")
    now = 14.0
    words.hear(b"")
    words.hear(b"-- Starting transaction...\n-- Setting savepoint...\nmysqldump: Got error: 1")
    now = 99.0
    words.hear(b"")
    assert words.blocked_seconds == 9.0
    assert words.complaints == "mysqldump: Got error: 1"


def test_a_lock_that_is_not_given_in_time_is_given_up_and_without_one_nobody_waits() -> None:
    now = 0.0
    patient, impatient = Words(None, clock=lambda: now), Words(10.0, clock=lambda: now)
    for words in (patient, impatient):
        words.hear(b"-- Connecting to localhost...\n")
    now = 10.5
    patient.hear(b"")
    assert patient.blocked_seconds == 0.0
    with pytest.raises(LockTooLong, match=r"mysql\.lock_wait"):
        impatient.hear(b"")
