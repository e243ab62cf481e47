"""One problem: its timeline, what comes next, and what people do about it."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from server.api.endpoint import Answer, Asked, Call, Role, endpoint
from server.api.errors import ApiError, not_found
from server.api.problems import ProblemView, view_problems, without_reasons
from server.api.scope import visible_hosts
from server.escalation.audience import Audience
from server.escalation.escalator import situation_of, told_by
from server.escalation.payload import Event, happening_of
from server.escalation.reading import read_audience
from server.escalation.telling import Occurrence, notices_of_updates
from server.store.audit import write_audit
from server.store.database import Connection
from server.store.escalations import read_now, read_under_way
from server.store.outbox import Told, enqueue, read_told
from server.store.problems import Problem, find_problem
from server.store.remarks import Remark, StoredEvent, TooManyNotes, acknowledge, add_note, read_events
from triggers.escalation.policy import judge


def _check_words(text: str) -> str:
    if any(not letter.isprintable() and letter not in "\n\t" for letter in text):
        raise ValueError("only printable text and line ends are allowed here")
    return text


Words = Annotated[str, Field(max_length=2000), AfterValidator(_check_words)]


class ProblemPath(Asked):
    """A problem by its number."""

    id: int = Field(ge=1, le=2**63 - 1)


class AcknowledgementBody(Asked):
    """What is to be said with an acknowledgement."""

    note: Words | None = None


class NoteBody(Asked):
    """A note."""

    text: Annotated[Words, Field(min_length=1)]


class TimelineEntry(Answer):
    """One moment in a problem's life; `by` is who did it or, of notices, who was told.

    `waiting` is a notice on its way, `failed` one that was given up.
    """

    kind: Literal["opened", "acknowledged", "note", "told", "waiting", "failed", "resolved"]
    at: datetime
    by: str | None = None
    text: str | None = None
    value: float | None = None


class ComingView(Answer):
    """Who will be told next, by what, when and why, if nothing changes."""

    at: datetime
    receiver: str
    media: str
    escalation: str
    step: int
    repetition: int
    text: str


class ProblemDetail(ProblemView):
    """A problem with its timeline, oldest first, and what comes next; `description` says what to do about it."""

    description: str
    timeline: list[TimelineEntry]
    due: list[ComingView]


@endpoint("GET", "/problems/{id}", role=Role.VIEWER)
async def show_problem(call: Call, path: ProblemPath) -> ProblemDetail:
    """Show one problem with its timeline and what comes next."""
    async with call.services.database.connection() as connection, connection.transaction():
        problem = await _find(call, connection, path.id)
        return await _view(call, connection, problem)


@endpoint("POST", "/problems/{id}/acknowledgement", role=Role.OPERATOR, failures=(404, 409))
async def acknowledge_problem(call: Call, path: ProblemPath, body: AcknowledgementBody) -> ProblemDetail:
    """Take a problem over: steps that wait for that tell nobody more, and who was told hears of it."""
    async with call.services.database.connection() as connection, connection.transaction():
        problem = await _find(call, connection, path.id)
        remark = await acknowledge(connection, problem.id, by=call.user, text=body.note or None)
        if remark is None:
            raise _conflict(await find_problem(connection, path.id) or problem)
        await _tell(connection, problem, "acknowledged", remark, by=call.user, text=body.note or None)
        changed = await find_problem(connection, path.id) or problem
        answer = await _view(call, connection, changed)
        await _audit(call, connection, "problem.acknowledge", problem, {"note": body.note})
    return answer


@endpoint("POST", "/problems/{id}/notes", role=Role.OPERATOR, failures=(404, 409))
async def note_problem(call: Call, path: ProblemPath, body: NoteBody) -> ProblemDetail:
    """Add a note; while the problem is open, who was told of it hears of the note too."""
    async with call.services.database.connection() as connection, connection.transaction():
        await _find(call, connection, path.id)
        try:
            remark = await add_note(connection, path.id, by=call.user, text=body.text)
        except TooManyNotes as error:
            raise ApiError(409, "too_many_notes", f"{error}.", remedy="Write on elsewhere.") from error
        problem = await _find(call, connection, path.id)  # as it is now that it is held
        if problem.resolved_at is None:
            await _tell(connection, problem, "note", remark, by=call.user, text=body.text)
        answer = await _view(call, connection, problem)
        await _audit(call, connection, "problem.note", problem, {"text": body.text})
    return answer


async def _find(call: Call, connection: Connection, problem_id: int) -> Problem:
    """Return the problem. Raises ApiError 404, also when its host is not the visitor's to see."""
    problem = await find_problem(connection, problem_id)
    visible = await visible_hosts(call, connection)
    if problem is None or (visible is not None and problem.host not in visible):
        raise not_found("problem", problem_id)
    return problem


async def _tell(
    connection: Connection, problem: Problem, event: Event, remark: Remark, *, by: str, text: str | None
) -> None:
    audience = await read_audience(connection, problem.host)
    happening = happening_of(problem, event, by=by, at=remark.at, text=text)
    occurrence = Occurrence(event_id=remark.event_id, happening=happening)
    await enqueue(connection, await notices_of_updates(connection, [occurrence], audience, remark.at))


async def _audit(call: Call, connection: Connection, action: str, problem: Problem, said: dict[str, Any]) -> None:
    detail = {"host": problem.host, "problem": problem.name, **said}
    await write_audit(
        connection, actor=call.user, action=action, object_=f"problem/{problem.id}", address=call.address, detail=detail
    )


def _conflict(problem: Problem) -> ApiError:
    if problem.resolved_at is not None:
        return ApiError(
            409, "over", f"Problem {problem.id} is over.", remedy="Add a note if there is something to say about it."
        )
    message = f"{problem.acknowledged_by} has acknowledged problem {problem.id} already."
    return ApiError(409, "acknowledged", message, remedy="Add a note if there is something to say about it.")


async def _view(call: Call, connection: Connection, problem: Problem) -> ProblemDetail:
    told = without_reasons(call, await read_told(connection, [problem.id]))
    events = await read_events(connection, problem.id)
    (view,) = view_problems([problem], told)
    names = await read_under_way(connection, problem.id)
    due: list[ComingView] = []
    if names:
        audience = await read_audience(connection, problem.host)
        due = _foresee(problem, told, names, audience, await read_now(connection))
    return ProblemDetail(**dict(view), description=problem.description, timeline=write_timeline(events, told), due=due)


def _foresee(
    problem: Problem, told: list[Told], names: list[str], audience: Audience, now: datetime
) -> list[ComingView]:
    found: list[ComingView] = []
    for name in names:
        judgement = judge(
            situation_of(problem), audience.steps.get(name, ()), audience.reachable, told_by(name, told), now
        )
        found += [
            ComingView(
                at=telling.at,
                receiver=telling.receiver,
                media=telling.medium,
                escalation=name,
                step=telling.step + 1,
                repetition=telling.repetition + 1,
                text=f"{telling.receiver} by {telling.medium}: {f'{name}, ' if name else ''}{telling.reason}",
            )
            for telling in (*judgement.due, *judgement.coming)
        ]
    return sorted(found, key=lambda each: each.at)


def write_timeline(events: list[StoredEvent], told: list[Told]) -> list[TimelineEntry]:
    """Join a problem's events and what was told about it, oldest first; pure."""
    entries = [
        TimelineEntry.model_validate(
            {"kind": event.kind, "at": event.at, "by": event.by, "text": event.text, "value": event.value}
        )
        for event in events
    ]
    for notice in told:
        kind: Literal["told", "waiting", "failed"] = "told"
        if notice.state != "sent":
            kind = "failed" if notice.state == "failed" else "waiting"
        at = notice.sent_at or notice.failed_at or notice.created_at
        entries.append(TimelineEntry(kind=kind, at=at, by=notice.receiver, text=_describe(notice)))
    return sorted(entries, key=lambda entry: entry.at)


def _describe(notice: Told) -> str:
    words = f"{notice.kind} by {notice.media}"
    if notice.escalation and notice.step is not None and notice.repetition is not None:
        again = f", notice {notice.repetition + 1}" if notice.repetition else ""
        words += f" ({notice.escalation}, step {notice.step + 1}{again})"
    if notice.state != "sent" and notice.last_error:
        words += f": {notice.last_error}"
    return words


ENDPOINTS = (show_problem, acknowledge_problem, note_problem)
