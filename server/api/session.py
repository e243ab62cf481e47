"""Signing in, who am I, signing out."""

from typing import Annotated

from pydantic import StringConstraints

from server.api.endpoint import Answer, Asked, Call, Role, Word, endpoint
from server.api.errors import not_signed_in
from server.api.login import Attempt
from server.api.security import COOKIE, give_cookie, take_cookie


class Credentials(Asked):
    """Who somebody says he is."""

    user: Word
    password: Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class SignedIn(Answer):
    """Who is signed in."""

    user: str
    role: str


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
    return SignedIn(user=visitor.user, role=visitor.role)


@endpoint("GET", "/session", role=Role.VIEWER)
async def show_session(call: Call) -> SignedIn:
    """Say who is signed in."""
    if call.visitor is None:
        raise not_signed_in()
    return SignedIn(user=call.visitor.user, role=call.visitor.role)


@endpoint("DELETE", "/session", role=Role.VIEWER)
async def sign_out(call: Call) -> None:
    """Sign out: the session ends on the server, whoever may have copied its cookie."""
    await call.services.accounts.close_session(call.request.cookies[COOKIE], address=call.address)
    call.on_answer(lambda answer: take_cookie(answer, is_https=call.services.terms.is_https))


ENDPOINTS = (sign_in, show_session, sign_out)
