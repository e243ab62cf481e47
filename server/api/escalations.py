"""Who would be told when, if a problem opened now."""

from datetime import datetime

from server.api.endpoint import Answer, Asked, Call, Role, Word, endpoint
from server.api.problems import Severity
from server.api.scope import require_host
from server.escalation.audience import DIRECT, Audience
from server.escalation.reading import read_audience
from server.escalation.route import route_opened
from server.store.escalations import read_now
from triggers.escalation.policy import Situation, foresee


class PreviewQuery(Asked):
    """Of what a problem would be."""

    host: Word
    severity: Severity


class ForeseenView(Answer):
    """Somebody would be told; `every_seconds` is how often again (null: once). Step 0: directly, by no escalation."""

    at: datetime
    after_seconds: float
    escalation: str | None
    step: int
    receiver: str
    media: str
    every_seconds: float | None
    times: int | None
    unless_acknowledged: bool
    text: str


class Preview(Answer):
    """Who would be told when if nobody acted, in that order."""

    tellings: list[ForeseenView]


@endpoint("GET", "/escalations/preview", role=Role.VIEWER, failures=(404,))
async def preview_escalations(call: Call, query: PreviewQuery) -> Preview:
    """Say who would be told when, if a problem of that severity opened on that host now and nobody acted."""
    await require_host(call, query.host)
    async with call.services.database.connection() as connection, connection.transaction():
        audience = await read_audience(connection, query.host)
        now = await read_now(connection)
    return Preview(tellings=foresee_all(audience, query.host, query.severity, now))


def foresee_all(audience: Audience, host: str, severity: str, now: datetime) -> list[ForeseenView]:
    """List everything that would be told of a problem that opens now; pure."""
    found = [
        ForeseenView(
            at=now, after_seconds=0.0, escalation=None, step=0, receiver=address.receiver, media=address.media,
            every_seconds=None, times=1, unless_acknowledged=True, text="at once: no escalation names this receiver",
        )
        for address in route_opened(severity, audience.at_once)
    ]  # fmt: skip
    situation = Situation(severity=severity, known_at=now)
    for name in audience.escalations_of(host, severity):
        steps = audience.steps[name]
        for telling, every in foresee(situation, steps, audience.reachable):
            step = steps[telling.step]
            found.append(
                ForeseenView(
                    at=telling.at,
                    after_seconds=(telling.at - now).total_seconds(),
                    escalation=None if name == DIRECT else name,
                    step=0 if name == DIRECT else telling.step + 1,
                    receiver=telling.receiver,
                    media=telling.medium,
                    every_seconds=None if every is None else every.total_seconds(),
                    times=step.times if every is not None else 1,
                    unless_acknowledged=step.unless_acknowledged,
                    text=telling.reason,
                )
            )
    return sorted(found, key=lambda each: each.at)


ENDPOINTS = (preview_escalations,)
