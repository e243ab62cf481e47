from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

from server.escalation.payload import Happening, write_payload
from server.escalation.route import Address, route_opened, route_resolved
from server.inventory.model import Receiver

if TYPE_CHECKING:
    from server.inventory.model import ReceiverDefinition


def receiver(name: str, *severities: str) -> ReceiverDefinition:
    webhook = {"url": "https://a.example"}
    return Receiver.model_validate({"kind": "receiver", "name": name, "webhook": webhook, "severities": severities})


ALL = [receiver("night", "high", "disaster"), receiver("log", "information", "warning", "average", "high", "disaster")]


def test_a_problem_is_told_to_those_who_ask_for_its_severity() -> None:
    assert route_opened("warning", ALL) == [Address("log", "webhook")]
    assert route_opened("disaster", ALL) == [Address("night", "webhook"), Address("log", "webhook")]
    assert route_opened("disaster", []) == []


def test_its_end_is_told_to_exactly_those_who_heard_of_it() -> None:
    told = [Address("night", "webhook"), Address("night", "webhook"), Address("gone", "webhook"), Address("log", "sms")]
    assert route_resolved(told, ALL) == [Address("night", "webhook")]
    changed = [receiver("night", "disaster")]
    assert route_resolved([Address("night", "webhook")], changed) == [Address("night", "webhook")]


def test_a_payload_says_what_when_and_where_in_plain_json() -> None:
    at = datetime(2026, 11, 21, 11, 0, 0, 123456, tzinfo=timezone(timedelta(hours=1)))
    happening = Happening(
        event="resolved", problem_id=7, host="db1", template="linux-host", trigger="Busy", name="Busy", parameter="",
        severity="high", value=math.nan, opened_at=at, resolved_at=datetime(2026, 11, 21, 10, 5, tzinfo=UTC),
    )  # fmt: skip
    assert write_payload(happening) == {
        "version": 1, "event": "resolved", "problem": 7, "name": "Busy", "host": "db1", "template": "linux-host",
        "trigger": "Busy", "parameter": "", "severity": "high", "value": None,
        "opened_at": "2026-11-21T10:00:00.123Z", "resolved_at": "2026-11-21T10:05:00.000Z", "description": "",
    }  # fmt: skip
