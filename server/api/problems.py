"""Problems, open and past, with who was told about them."""

from dataclasses import replace
from datetime import datetime
from typing import Literal

from pydantic import Field

from server.api.endpoint import Answer, Asked, Call, Role, Word, endpoint
from server.api.scope import groups_of, visible_hosts
from server.store.outbox import Told, read_told
from server.store.problems import Problem, ProblemFilter, read_problems

Severity = Literal["information", "warning", "average", "high", "disaster"]


class ProblemQuery(Asked):
    """Which problems."""

    state: Literal["open", "resolved", "all"] = "open"
    host: Word | None = Field(None, description="Only this host's, by its exact name.")
    severity: list[Severity] = Field(default_factory=list, description="Only these; may be given several times.")
    limit: int = Field(100, ge=1, le=1000)
    order: Literal["newest", "severity"] = Field("newest", description="Severity: worst first, newest among equals.")
    before: int | None = Field(
        None, ge=1, le=2**63 - 1, description="Only what comes after it in this order: the last id of the page before."
    )


class ToldView(Answer):
    """A notice about a problem: sent, waiting for its next attempt, or given up."""

    receiver: str
    media: str
    kind: str
    state: str
    at: datetime
    attempts: int
    error: str | None


class AcknowledgementView(Answer):
    """Who took a problem over, when, and what he wrote."""

    by: str
    at: datetime
    note: str | None


class ProblemView(Answer):
    """A problem; `opened_at` and `resolved_at` are the instants of the samples that opened and resolved it."""

    id: int
    host: str
    template: str
    trigger: str
    name: str
    severity: Severity
    parameter: str
    opened_at: datetime
    resolved_at: datetime | None
    value: float | None
    unit: str
    items: list[int] = Field(description="The items its trigger's expression speaks of.")
    told: list[ToldView]
    acknowledgement: AcknowledgementView | None


class ProblemList(Answer):
    """Problems, in the order asked for."""

    problems: list[ProblemView]


@endpoint("GET", "/problems", role=Role.VIEWER)
async def list_problems(call: Call, query: ProblemQuery) -> ProblemList:
    """List problems, newest or worst first, with who was told."""
    wanted = ProblemFilter(
        state=query.state,
        host=query.host,
        only_hosts=await visible_hosts(call),
        severities=query.severity or None,
        before_id=query.before,
        limit=query.limit,
        is_worst_first=query.order == "severity",
    )
    async with call.services.database.connection() as connection:
        problems = await read_problems(connection, wanted)
        told = await read_told(connection, [problem.id for problem in problems])
    return ProblemList(problems=view_problems(problems, without_reasons(call, told)))


def without_reasons(call: Call, told: list[Told]) -> list[Told]:
    """Return the notices as the visitor may see them: who was told belongs to the problem.

    Why an attempt failed names addresses, relays and files, which are of the receiver: only who may see receivers
    reads it.
    """
    return told if groups_of(call) is None else [replace(notice, last_error=None) for notice in told]


def view_problems(problems: list[Problem], told: list[Told]) -> list[ProblemView]:
    """Join problems with what was told about them."""
    notices: dict[int, list[ToldView]] = {}
    for notice in told:
        notices.setdefault(notice.problem_id, []).append(
            ToldView(
                receiver=notice.receiver,
                media=notice.media,
                kind=notice.kind,
                state=notice.state,
                at=notice.sent_at or notice.failed_at or notice.created_at,
                attempts=notice.attempts,
                error=notice.last_error,
            )
        )
    return [
        ProblemView(
            id=problem.id,
            host=problem.host,
            template=problem.template,
            trigger=problem.trigger,
            name=problem.name,
            severity=problem.severity,
            parameter=problem.parameter,
            opened_at=problem.opened_at,
            resolved_at=problem.resolved_at,
            value=problem.value,
            unit=problem.unit,
            items=list(problem.items),
            told=notices.get(problem.id, []),
            acknowledgement=_view_acknowledgement(problem),
        )
        for problem in problems
    ]


def _view_acknowledgement(problem: Problem) -> AcknowledgementView | None:
    if problem.acknowledged_at is None:
        return None
    return AcknowledgementView(
        by=problem.acknowledged_by or "", at=problem.acknowledged_at, note=problem.acknowledgement_note
    )


ENDPOINTS = (list_problems,)
