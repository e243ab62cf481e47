"""Tokens for programs: everybody has his own, which can never do more than he may himself."""

from datetime import UTC, datetime
from typing import Annotated, Self

from pydantic import Field, model_validator

from server.api.endpoint import Answer, Asked, Call, Role, endpoint
from server.api.errors import ApiError, not_found
from server.api.history import Instant
from server.api.items import MAX_ID
from server.api.scope import groups_of, require_session
from server.api.users import HostGroups, RoleName
from server.inventory.vocabulary import Name
from server.store.roles import is_within, lesser_role
from server.store.tokens import NewToken, Token, TokenRefused


class TokenPath(Asked):
    """A token by id."""

    id: int = Field(ge=1, le=MAX_ID)


class WantedToken(Asked):
    """A token that shall be; left out, `groups` are its owner's, and it holds until it is revoked."""

    name: Name
    role: RoleName
    groups: HostGroups = None
    expires_at: Annotated[Instant | None, Field(description="When its time is over; null: never.")] = None

    @model_validator(mode="after")
    def _check_reach(self) -> Self:
        if self.role == "administrator" and self.groups is not None:
            raise ValueError("an administrator's token cannot be restricted to groups")
        return self


class TokenView(Answer):
    """A token; `role` and `groups` are what it may do now, cut to its owner's."""

    id: int
    name: str
    owner: str
    role: str
    groups: list[str] | None
    created_at: datetime
    expires_at: datetime | None
    is_expired: bool
    last_used_at: datetime | None
    last_address: str | None


class MadeToken(TokenView):
    """A token just made. `secret` is shown this once: it is not kept."""

    secret: str


class TokenList(Answer):
    """Tokens, by owner and name."""

    tokens: list[TokenView]


@endpoint("GET", "/tokens", role=Role.VIEWER)
async def list_tokens(call: Call) -> TokenList:
    """List one's own tokens; to an administrator, everybody's."""
    tokens = await call.services.tokens.list(_owner(call))
    return TokenList(tokens=[TokenView(**_plain(token)) for token in tokens])


@endpoint("POST", "/tokens", role=Role.VIEWER, failures=(409,))
async def create_token(call: Call, body: WantedToken) -> MadeToken:
    """Make a token of one's own, with one's own role and groups or less."""
    require_session(call)
    role = "" if call.visitor is None else call.visitor.role
    groups = groups_of(call) if body.groups is None else frozenset(body.groups)
    if lesser_role(body.role, role) != body.role or not is_within(groups, groups_of(call)):
        await call.services.accounts.audit(
            actor=call.user,
            action="token.create_refused",
            object_=f"{call.user}/{body.name}",
            address=call.address,
            detail={"role": body.role, "groups": body.groups},
        )
        raise ApiError(
            403,
            "past_own_role",
            "A token may do no more than you may.",
            remedy=f"Ask for the role {role!r} or a lesser one, and for groups of your own only.",
        )
    if body.expires_at is not None and body.expires_at <= _now(call):
        raise ApiError(400, "invalid", "body expires_at: is over already", remedy="Choose an instant to come.")
    wanted = NewToken(name=body.name, role=body.role, groups=groups, expires_at=body.expires_at)
    try:
        secret, token = await call.services.tokens.create(call.user, wanted, by=call.user, address=call.address)
    except TokenRefused as error:
        raise ApiError(409, "token_not_made", f"{error}.", remedy="Look at GET /api/v1/tokens.") from error
    return MadeToken(**_plain(token), secret=secret)


@endpoint("DELETE", "/tokens/{id}", role=Role.VIEWER)
async def revoke_token(call: Call, path: TokenPath) -> None:
    """Revoke a token of one's own; an administrator, anybody's. It opens nothing from then on."""
    require_session(call)
    if not await call.services.tokens.revoke(path.id, owner=_owner(call), by=call.user, address=call.address):
        raise not_found("token", path.id)


def _owner(call: Call) -> str | None:
    """Return whose tokens the visitor deals with; None: everybody's."""
    is_administrator = call.visitor is not None and call.visitor.role == "administrator"
    return None if is_administrator else call.user


def _now(call: Call) -> datetime:
    return datetime.fromtimestamp(call.services.clock.now_us() / 1_000_000, tz=UTC)


def _plain(token: Token) -> dict[str, object]:
    return {
        "id": token.id,
        "name": token.name,
        "owner": token.owner,
        "role": token.role,
        "groups": None if token.groups is None else sorted(token.groups),
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "is_expired": token.is_expired,
        "last_used_at": token.last_used_at,
        "last_address": token.last_address,
    }


ENDPOINTS = (list_tokens, create_token, revoke_token)
