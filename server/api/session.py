"""Signing in, who am I, signing out."""

from typing import Annotated

from pydantic import StringConstraints

from server.api.endpoint import Answer, Asked, Call, Role, Word, endpoint
from server.api.errors import not_signed_in
from server.api.login import Attempt
from server.api.scope import require_session
from server.api.security import COOKIE, give_cookie, take_cookie
from server.store.accounts import Visitor


class Credentials(Asked):
    """Who somebody says he is."""

    user: Word
    password: Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class SessionsEnded(Answer):
    """How many sessions a new password ended."""

    sessions_ended: int


class NewPassword(Asked):
    """The password that is, and the one that shall be."""

    old: Annotated[str, StringConstraints(min_length=1, max_length=1024)]
    new: Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class SignedIn(Answer):
    """Who is signed in, and what he may do now; `groups` null: he sees every host, else only those groups' hosts."""

    user: str
    full_name: str
    role: str
    groups: list[str] | None


def view_visitor(visitor: Visitor) -> SignedIn:
    """Say who asks."""
    groups = None if visitor.groups is None else sorted(visitor.groups)
    return SignedIn(user=visitor.user, full_name=visitor.full_name, role=visitor.role, groups=groups)


@endpoint("POST", "/session", role=Role.ANYONE, timeout_seconds=30.0, failures=(401, 429))
async def sign_in(call: Call, body: Credentials) -> SignedIn:
    """Sign in; the session's cookie comes with the answer."""
    attempt = Attempt(
        user=body.user,
        password=body.password,
        address=call.address,
        program=call.request.headers.get("User-Agent", "")[:200],
    )
    token, visitor = await call.services.login.sign_in(attempt)
    terms = call.services.terms
    call.on_answer(lambda answer: give_cookie(answer, token, seconds=terms.session_seconds, is_https=terms.is_https))
    return view_visitor(visitor)


@endpoint("GET", "/session", role=Role.VIEWER)
async def show_session(call: Call) -> SignedIn:
    """Say who is signed in."""
    if call.visitor is None:
        raise not_signed_in()
    return view_visitor(call.visitor)


@endpoint("DELETE", "/session", role=Role.VIEWER)
async def sign_out(call: Call) -> None:
    """Sign out: the session ends on the server, whoever may have copied its cookie."""
    require_session(call)
    await call.services.accounts.close_session(call.request.cookies[COOKIE], address=call.address)
    call.on_answer(lambda answer: take_cookie(answer, is_https=call.services.terms.is_https))


@endpoint("PUT", "/session/password", role=Role.VIEWER, timeout_seconds=30.0, failures=(429,))
async def change_own_password(call: Call, body: NewPassword) -> SessionsEnded:
    """Give oneself a new password; every other session of the account ends."""
    require_session(call)
    attempt = Attempt(user=call.user, password=body.old, address=call.address, program="")
    ended = await call.services.login.change_own_password(attempt, body.new, session=call.request.cookies[COOKIE])
    return SessionsEnded(sessions_ended=ended)


ENDPOINTS = (sign_in, show_session, sign_out, change_own_password)
