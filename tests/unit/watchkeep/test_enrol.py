"""What `watchkeep enrol` shows of who asks to be let in."""

from __future__ import annotations

from core.security.enrolment import fingerprint
from watchkeep.enrol import request_words


def test_name_and_fingerprint_are_whole_and_the_fingerprint_fits_80_columns() -> None:
    name, key, address = (
        f"{'a-long-name.' * 9}example",
        fingerprint(bytes(32)),
        "2001:db8:1234:5678:9abc:def0:1234:5678",
    )
    row = {"id": 12, "state": "waiting", "name": name, "is_known_host": True, "fingerprint": key, "address": address}
    first, second, third = request_words(row).splitlines()
    assert first.split() == ["12", "waiting", name, "(a", "host", "there", "is", "already)"]
    assert address in second
    assert third.strip() == key
    assert max(len(second), len(third)) <= 80
