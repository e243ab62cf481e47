"""Letting machines in: one-time tokens, and requests that wait for approval. Only administrators come here."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from server.api.endpoint import Answer, Asked, Call, Role, endpoint
from server.api.errors import ApiError, not_found
from server.api.items import MAX_ID
from server.enrolment.admission import EnrolmentRefused
from server.enrolment.desk import (
    LONGEST_LIFETIME_SECONDS,
    SHORTEST_LIFETIME_SECONDS,
    EnrolmentDesk,
    NoEntrance,
    TokenWrong,
)
from server.inventory.vocabulary import Name
from server.store.enrolment import TokenTerms

Names = Annotated[tuple[Name, ...], Field(max_length=100)]


class EnrolmentTokenPath(Asked):
    """An enrolment token by id."""

    id: Annotated[str, StringConstraints(pattern=r"^[a-z2-7]{13}$")]


class EnrolmentRequestPath(Asked):
    """A request by number."""

    id: int = Field(ge=1, le=MAX_ID)


class Admittance(Asked):
    """As what a machine is let in. Without `host` it is what the machine says, unless there is such a host already."""

    host: Name | None = None
    templates: Names = ("linux-host",)
    groups: Names = ()
    proxy_group: Name = "default"


class WantedEnrolmentToken(Admittance):
    """A token that shall be."""

    lifetime_seconds: int = Field(3600, ge=SHORTEST_LIFETIME_SECONDS, le=LONGEST_LIFETIME_SECONDS)


class MadeEnrolmentToken(Answer):
    """A token just made. `command` is to be typed on the new machine; it, and the token, are shown this once."""

    id: str
    token: str
    command: str
    expires_at: datetime


class EnrolmentTokenView(Answer):
    """A token; `used_by` is the host that came in by it."""

    id: str
    state: Literal["open", "used", "expired", "revoked"]
    host: str | None
    templates: list[str]
    groups: list[str]
    proxy_group: str
    created_by: str
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None
    used_by: str | None
    used_address: str | None


class EnrolmentTokenList(Answer):
    """Tokens, newest first. `entrance` is where newcomers ask; null: no server lets them, and `remedy` says how to."""

    entrance: str | None
    remedy: str
    tokens: list[EnrolmentTokenView]


class EnrolmentRequestView(Answer):
    """Somebody who asks. His command shows the same fingerprint: compare them before approving."""

    id: int
    state: Literal["waiting", "approved", "refused"]
    name: str
    is_known_host: bool
    fingerprint: str
    software: str
    address: str
    requested_at: datetime
    seen_at: datetime
    decided_by: str | None


class EnrolmentRequestList(Answer):
    """Requests, those that wait first. `fingerprint` is what newcomers compare on their side."""

    entrance: str | None
    fingerprint: str | None
    by_approval: bool
    requests: list[EnrolmentRequestView]


class Admitted(Answer):
    """The host a machine was let in as."""

    host: str


@endpoint("POST", "/enrolment/tokens", role=Role.ADMINISTRATOR, failures=(409,))
async def create_enrolment_token(call: Call, body: WantedEnrolmentToken) -> MadeEnrolmentToken:
    """Make a token that lets one machine in, and the command to be typed there."""
    terms = _terms(body, body.lifetime_seconds)
    try:
        made = await _desk(call).create_token(terms, by=call.user)
    except (NoEntrance, TokenWrong) as error:
        raise _not_possible(error) from error
    return MadeEnrolmentToken(**asdict(made))


@endpoint("GET", "/enrolment/tokens", role=Role.ADMINISTRATOR)
async def list_enrolment_tokens(call: Call) -> EnrolmentTokenList:
    """List tokens, newest first."""
    desk = _desk(call)
    entrance, _ = await desk.requests()
    views = []
    for token in await desk.tokens():
        plain = asdict(token)
        del plain["used_key"]
        views.append(EnrolmentTokenView(**plain))
    return EnrolmentTokenList(
        entrance=None if entrance is None else entrance.url,
        remedy="" if entrance is not None else str(NoEntrance()),
        tokens=views,
    )


@endpoint("DELETE", "/enrolment/tokens/{id}", role=Role.ADMINISTRATOR)
async def revoke_enrolment_token(call: Call, path: EnrolmentTokenPath) -> None:
    """Make a token useless; who came in by it stays in."""
    if not await _desk(call).revoke_token(path.id, by=call.user):
        raise not_found("enrolment token", path.id)


@endpoint("GET", "/enrolment/requests", role=Role.ADMINISTRATOR)
async def list_enrolment_requests(call: Call) -> EnrolmentRequestList:
    """List who asks to be let in without a token."""
    entrance, found = await _desk(call).requests()
    return EnrolmentRequestList(
        entrance=None if entrance is None else entrance.url,
        fingerprint=None if entrance is None else entrance.fingerprint,
        by_approval=entrance is not None and entrance.by_approval,
        requests=[EnrolmentRequestView(**asdict(request)) for request in found],
    )


@endpoint("POST", "/enrolment/requests/{id}/approval", role=Role.ADMINISTRATOR, failures=(409,))
async def approve_enrolment_request(call: Call, path: EnrolmentRequestPath, body: Admittance) -> Admitted:
    """Let in who asked."""
    try:
        host = await _desk(call).approve(path.id, _terms(body, 0), by=call.user)
    except TokenWrong as error:
        raise _not_possible(error) from error
    except EnrolmentRefused as error:
        raise ApiError(409, error.code, f"{error.message}.", remedy=f"{error.remedy}.") from error
    if host is None:
        raise not_found("waiting request", path.id)
    return Admitted(host=host)


@endpoint("DELETE", "/enrolment/requests/{id}", role=Role.ADMINISTRATOR)
async def refuse_enrolment_request(call: Call, path: EnrolmentRequestPath) -> None:
    """Refuse who asked."""
    if not await _desk(call).refuse(path.id, by=call.user):
        raise not_found("waiting request", path.id)


def _desk(call: Call) -> EnrolmentDesk:
    return EnrolmentDesk(call.services.database, address=call.address)


def _terms(asked: Admittance, lifetime_seconds: int) -> TokenTerms:
    return TokenTerms(
        host=asked.host,
        templates=asked.templates,
        groups=asked.groups,
        proxy_group=asked.proxy_group,
        lifetime_seconds=lifetime_seconds,
    )


def _not_possible(error: NoEntrance | TokenWrong) -> ApiError:
    code = "no_entrance" if isinstance(error, NoEntrance) else "not_possible"
    message, _, remedy = str(error).partition(": ")
    return ApiError(409, code, f"{message}.", remedy=f"{remedy}.")


ENDPOINTS = (
    create_enrolment_token,
    list_enrolment_tokens,
    revoke_enrolment_token,
    list_enrolment_requests,
    approve_enrolment_request,
    refuse_enrolment_request,
)
