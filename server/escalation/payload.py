"""The content of a notice, the same for every medium; its form is documented in docs/webhooks.md."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from server.store.problems import Problem

PAYLOAD_VERSION: Final = 1

Event = Literal["opened", "reminder", "acknowledged", "note", "resolved", "test"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """What is told about a problem.

    Instants are those of the samples. `value` is what the trigger saw at this event; `name` is the problem's, its
    placeholders filled in. `trigger` is the name within `template`, placeholders and all; `description` is its own.

    What an escalation told carries its name, and step and repetition counted from 1; what a person did carries who,
    when and the words.
    """

    event: Event
    problem_id: int
    host: str
    template: str
    trigger: str
    name: str
    parameter: str
    severity: str
    value: float | None
    opened_at: datetime
    resolved_at: datetime | None = None
    description: str = ""
    escalation: str | None = None
    step: int | None = None
    repetition: int | None = None
    by: str | None = None
    at: datetime | None = None
    text: str | None = None


def happening_of(problem: Problem, event: Event, **more: Any) -> Happening:
    """Say what happened to a stored problem; `more` are further fields."""
    fields: dict[str, Any] = {"value": problem.value, "resolved_at": problem.resolved_at} | more
    return Happening(
        event=event,
        problem_id=problem.id,
        host=problem.host,
        template=problem.template,
        trigger=problem.trigger,
        name=problem.name,
        parameter=problem.parameter,
        severity=problem.severity,
        opened_at=problem.opened_at,
        description=problem.description,
        **fields,
    )


def write_payload(happening: Happening) -> dict[str, Any]:
    """Return the payload as JSON values; numbers JSON has not (NaN, infinities) become null."""
    value = happening.value
    payload = {
        "version": PAYLOAD_VERSION,
        "event": happening.event,
        "problem": happening.problem_id,
        "name": happening.name,
        "host": happening.host,
        "template": happening.template,
        "trigger": happening.trigger,
        "parameter": happening.parameter,
        "severity": happening.severity,
        "value": value if value is not None and math.isfinite(value) else None,
        "opened_at": _write_instant(happening.opened_at),
        "resolved_at": None if happening.resolved_at is None else _write_instant(happening.resolved_at),
    }
    more: dict[str, Any] = {
        "escalation": happening.escalation,
        "step": happening.step,
        "repetition": happening.repetition,
        "by": happening.by,
        "at": None if happening.at is None else _write_instant(happening.at),
        "text": happening.text,
    }
    if happening.event in {"opened", "reminder", "resolved"}:
        more["description"] = happening.description
    return payload | {key: each for key, each in more.items() if each is not None}


def with_link(payload: Mapping[str, Any], page_url: str | None) -> dict[str, Any]:
    """Return the payload with where its problem is shown; as it is where the page's address is not known.

    Put in when it is sent, not when it is owed: so a corrected address holds for what is still owed.
    """
    if page_url is None or "problem" not in payload:
        return dict(payload)
    return {**payload, "link": f"{page_url}#/problems/{payload['problem']}"}


def _write_instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
