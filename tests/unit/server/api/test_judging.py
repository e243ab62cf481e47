from datetime import UTC, datetime, timedelta

import pytest

from server.api.endpoint import Call, Role, endpoint
from server.api.hosts import judge_state
from server.api.item_key import split_key

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("age", "heard", "state"),
    [(None, 1.0, "unknown"), (30, 1.0, "up"), (300, 1.0, "silent"), (300, None, "unknown"), (300, 300.0, "unknown")],
)
def test_a_host_is_called_silent_only_while_others_are_heard(
    age: float | None, heard: float | None, state: str
) -> None:
    last_at = None if age is None else NOW - timedelta(seconds=age)
    assert judge_state(last_at, heard, NOW) == state


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        ("cpu.busy", ("cpu.busy", None)),
        ("disk[/a[b]]", ("disk", "/a[b]")),
        ("disk[]", ("disk", "")),
        ("odd[", ("odd[", None)),
        ("odd]", ("odd]", None)),
    ],
)
def test_a_key_is_taken_apart(key: str, parts: tuple[str, str | None]) -> None:
    assert split_key(key) == parts


def test_a_handler_cannot_ask_for_what_no_request_has() -> None:
    with pytest.raises(TypeError, match="cookie"):

        @endpoint("GET", "/x", role=Role.ANYONE)
        async def handler(call: Call, cookie: str) -> None: ...
