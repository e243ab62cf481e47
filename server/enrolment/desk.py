"""What an administrator does about enrolment, by page, API or command: tokens, requests, keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from core.security.enrolment import Newcomer, fingerprint, is_host_name, make_token
from server.enrolment.admission import Place, let_in
from server.enrolment.terms import find_entrance
from server.store.audit import write_audit
from server.store.definitions import find_definition
from server.store.enrolment import (
    create_token,
    decide_request,
    find_request,
    read_requests,
    read_tokens,
    revoke_token,
    wipe_expired,
)

if TYPE_CHECKING:
    from datetime import datetime

    from server.enrolment.terms import Entrance
    from server.store.database import Connection, Database
    from server.store.enrolment import StoredRequest, StoredToken, TokenTerms

SHORTEST_LIFETIME_SECONDS: Final = 60
LONGEST_LIFETIME_SECONDS: Final = 7 * 24 * 3600


class NoEntrance(Exception):
    """No server lets newcomers ask; the message says how to open a way."""

    def __init__(self) -> None:
        super().__init__(
            "no machine can reach this installation to ask: start it with `watchkeep up --listen ADDRESS`, or set"
            " enrolment_port and enrolment_upstreams in a server's configuration"
        )


class TokenWrong(Exception):
    """A token, or an approval, cannot be for this; the message says for what and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeToken:
    """A fresh token, and the command to be typed on the newcomer's machine. Shown once."""

    id: str
    token: str
    command: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenView:
    """A token without its secret."""

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
    used_key: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestView:
    """Somebody who asks without a token."""

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


class EnrolmentDesk:
    """Every change is written to the audit log; `address` is where it was asked from, empty for commands."""

    def __init__(self, database: Database, *, address: str = "") -> None:
        self._database = database
        self._address = address

    async def create_token(self, terms: TokenTerms, *, by: str) -> MadeToken:
        """Make a token. Raises NoEntrance, TokenWrong."""
        token = make_token()
        if not SHORTEST_LIFETIME_SECONDS <= terms.lifetime_seconds <= LONGEST_LIFETIME_SECONDS:
            raise TokenWrong("a token lives from one minute to seven days")
        async with self._database.connection() as connection, connection.transaction():
            entrance = await _entrance(connection)
            await _check(connection, terms)
            await wipe_expired(connection)
            expires_at = await create_token(connection, token.id, token.secret, terms, by=by)
            await self._audit(
                connection,
                by,
                "enrolment.token",
                token.id,
                {
                    "host": terms.host,
                    "templates": list(terms.templates),
                    "groups": list(terms.groups),
                    "proxy_group": terms.proxy_group,
                    "lifetime_seconds": terms.lifetime_seconds,
                },
            )
        return MadeToken(id=token.id, token=token.text, command=entrance.command(token.text), expires_at=expires_at)

    async def tokens(self) -> list[TokenView]:
        """List tokens, newest first."""
        async with self._database.connection() as connection:
            await wipe_expired(connection)
            return [_view_token(token) for token in await read_tokens(connection)]

    async def revoke_token(self, token: str, *, by: str) -> bool:
        """Make a token useless; False when there is none, or it was revoked before."""
        async with self._database.connection() as connection, connection.transaction():
            is_revoked = await revoke_token(connection, token)
            if is_revoked:
                await self._audit(connection, by, "enrolment.token_revoke", token, {})
        return is_revoked

    async def requests(self) -> tuple[Entrance | None, list[RequestView]]:
        """Return where newcomers ask, and who has asked without a token."""
        async with self._database.connection() as connection:
            entrance = await find_entrance(connection)
            return entrance, [_view_request(request) for request in await read_requests(connection)]

    async def approve(self, number: int, terms: TokenTerms, *, by: str) -> str | None:
        """Let in who asked, and return the host's name; None when nobody waits under this number.

        Raises TokenWrong, EnrolmentRefused.
        """
        async with self._database.connection() as connection, connection.transaction():
            await _check(connection, terms)
            request = await find_request(connection, number=number)
            host = "" if request is None else terms.host or request.name
            if request is None or not await decide_request(connection, number, host=host, by=by):
                return None
            newcomer = Newcomer(name=request.name, key=request.key, source=request.source, software=request.software)
            place = Place(
                host=host,
                is_named=terms.host is not None,
                templates=terms.templates,
                groups=terms.groups,
                proxy_group=terms.proxy_group,
            )
            await let_in(connection, newcomer, place, by=by)
            detail = {"key": fingerprint(request.key), "address": request.address}
            await self._audit(connection, by, "enrolment.approve", host, detail)
        return host

    async def refuse(self, number: int, *, by: str) -> bool:
        """Refuse who asked; False when nobody waits under this number."""
        async with self._database.connection() as connection, connection.transaction():
            request = await find_request(connection, number=number)
            if request is None or not await decide_request(connection, number, host=None, by=by):
                return False
            await self._audit(connection, by, "enrolment.refuse", request.name, {"key": fingerprint(request.key)})
            return True

    async def _audit(self, connection: Connection, by: str, action: str, what: str, detail: dict[str, Any]) -> None:
        await write_audit(connection, actor=by, action=action, object_=what, address=self._address, detail=detail)


async def _entrance(connection: Connection) -> Entrance:
    found = await find_entrance(connection)
    if found is None:
        raise NoEntrance
    return found


async def _check(connection: Connection, terms: TokenTerms) -> None:
    """Refuse what would fail only when the newcomer comes."""
    names = [("host", terms.host)] if terms.host is not None else []
    names += [("group", group) for group in terms.groups] + [("proxy group", terms.proxy_group)]
    for what, name in names:
        if not is_host_name(name):
            raise TokenWrong(f"no {what} can be called {name!r}: letters, digits, dots, dashes, underscores, no blanks")
    for template in terms.templates:
        if await find_definition(connection, "template", template) is None:
            raise TokenWrong(f"there is no template {template!r}: `watchkeep diff` and the page list those there are")


def _view_token(token: StoredToken) -> TokenView:
    state: Literal["open", "used", "expired", "revoked"] = "open"
    if token.revoked_at is not None:
        state = "revoked"
    elif token.used_at is not None:
        state = "used"
    elif token.is_expired:
        state = "expired"
    return TokenView(
        id=token.id,
        state=state,
        host=token.host,
        templates=token.templates,
        groups=token.groups,
        proxy_group=token.proxy_group,
        created_by=token.created_by,
        created_at=token.created_at,
        expires_at=token.expires_at,
        used_at=token.used_at,
        used_by=token.used_by,
        used_address=token.used_address,
        used_key=token.used_key,
    )


def _view_request(request: StoredRequest) -> RequestView:
    state: Literal["waiting", "approved", "refused"] = "waiting"
    if request.decided_at is not None:
        state = "refused" if request.host is None else "approved"
    return RequestView(
        id=request.id,
        state=state,
        name=request.host or request.name,
        is_known_host=request.is_known_host and state == "waiting",
        fingerprint=fingerprint(request.key),
        software=request.software,
        address=request.address,
        requested_at=request.requested_at,
        seen_at=request.seen_at,
        decided_by=request.decided_by,
    )
