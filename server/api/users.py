"""Users: who there is, with which role, for which host groups. Only administrators come here."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from server.api.endpoint import Answer, Asked, Call, Role, Word, endpoint
from server.api.errors import ApiError, not_found
from server.api.login import hash_new
from server.api.session import SessionsEnded
from server.inventory.vocabulary import Name, check_line
from server.store.users import By, LastAdministrator, Terms, User, UserExists

RoleName = Literal["viewer", "operator", "administrator"]
_SECONDS = 30.0


def _check_groups(groups: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if groups is not None and len(set(groups)) != len(groups):
        raise ValueError("expected each group once")
    return groups


UserName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$")]
Password = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
HostGroups = Annotated[
    Annotated[tuple[Name, ...], Field(min_length=1, max_length=100)] | None,
    AfterValidator(_check_groups),
    Field(description="Host groups it is restricted to; null: every host."),
]


class UserPath(Asked):
    """A user by name."""

    name: Word


class UserTerms(Asked):
    """What a user may do, on which hosts."""

    role: RoleName
    groups: HostGroups = None
    full_name: Annotated[str, Field(max_length=255), AfterValidator(check_line)] = ""

    @model_validator(mode="after")
    def _check_reach(self) -> Self:
        if self.role == "administrator" and self.groups is not None:
            raise ValueError("an administrator cannot be restricted to groups: he can put any host into them")
        return self

    def terms(self) -> Terms:
        """Return them in the store's form."""
        return Terms(role=self.role, groups=self.groups, full_name=self.full_name)


class NewUser(UserTerms):
    """A user that shall be."""

    name: UserName
    password: Password


class SetPassword(Asked):
    """A user's new password."""

    password: Password


class UserView(Answer):
    """A user; `seen_at` is when a session that is still open was last used, `sessions` and `tokens` count live ones."""

    name: str
    full_name: str
    role: str
    groups: list[str] | None
    created_at: datetime
    seen_at: datetime | None
    sessions: int
    tokens: int


class UserList(Answer):
    """All users, by name."""

    users: list[UserView]


@endpoint("GET", "/users", role=Role.ADMINISTRATOR)
async def list_users(call: Call) -> UserList:
    """List all users."""
    return UserList(users=[_view(user) for user in await call.services.users.list()])


@endpoint("POST", "/users", role=Role.ADMINISTRATOR, timeout_seconds=_SECONDS, failures=(409,))
async def create_user(call: Call, body: NewUser) -> UserView:
    """Make a user."""
    hashed = await hash_new(call.services.passwords, body.password, body.name)
    try:
        user = await call.services.users.create(body.name, body.terms(), hashed, by=_by(call))
    except UserExists as error:
        raise ApiError(409, "exists", f"{error}.".capitalize(), remedy="Choose another name.") from error
    return _view(user)


@endpoint("GET", "/users/{name}", role=Role.ADMINISTRATOR)
async def show_user(call: Call, path: UserPath) -> UserView:
    """Show one user."""
    return _view(_there(await call.services.users.find(path.name), path.name))


@endpoint("PUT", "/users/{name}", role=Role.ADMINISTRATOR, failures=(409,))
async def change_user(call: Call, path: UserPath, body: UserTerms) -> UserView:
    """Make a user's role, groups and full name be these; his sessions, tokens and streams follow at once."""
    try:
        user = await call.services.users.change(path.name, body.terms(), by=_by(call))
    except LastAdministrator as error:
        raise await _last(call, "change", path.name, error) from error
    return _view(_there(user, path.name))


@endpoint("DELETE", "/users/{name}", role=Role.ADMINISTRATOR, failures=(409,))
async def remove_user(call: Call, path: UserPath) -> None:
    """Remove a user with his sessions and tokens."""
    try:
        is_removed = await call.services.users.remove(path.name, by=_by(call))
    except LastAdministrator as error:
        raise await _last(call, "remove", path.name, error) from error
    if not is_removed:
        raise not_found("user", path.name)


@endpoint("PUT", "/users/{name}/password", role=Role.ADMINISTRATOR, timeout_seconds=_SECONDS, failures=(409,))
async def set_user_password(call: Call, path: UserPath, body: SetPassword) -> SessionsEnded:
    """Give another user a new password and end his sessions."""
    if path.name == call.user:  # whoever finds a page left open must not make it his for good
        raise ApiError(
            409,
            "own_password",
            "Your own password needs the old one.",
            remedy="Use PUT /api/v1/session/password, or `watchkeep password` on the server.",
        )
    _there(await call.services.users.find(path.name), path.name)
    hashed = await hash_new(call.services.passwords, body.password, path.name)
    try:
        ended = await call.services.accounts.set_password(path.name, hashed, by=call.user, address=call.address)
    except LookupError as error:
        raise not_found("user", path.name) from error
    return SessionsEnded(sessions_ended=ended)


async def _last(call: Call, action: str, name: str, error: LastAdministrator) -> ApiError:
    await call.services.accounts.audit(
        actor=call.user, action=f"account.{action}_refused", object_=name, address=call.address, detail={}
    )
    return ApiError(
        409, "last_administrator", f"{error}.", remedy="Make another user an administrator, then try again."
    )


def _by(call: Call) -> By:
    return By(name=call.user, address=call.address)


def _there(user: User | None, name: str) -> User:
    if user is None:
        raise not_found("user", name)
    return user


def _view(user: User) -> UserView:
    return UserView(
        name=user.name,
        full_name=user.full_name,
        role=user.role,
        groups=user.groups,
        created_at=user.created_at,
        seen_at=user.seen_at,
        sessions=user.sessions,
        tokens=user.tokens,
    )


ENDPOINTS = (list_users, create_user, show_user, change_user, remove_user, set_user_password)
