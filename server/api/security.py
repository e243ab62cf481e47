"""Guards every answer and every request of the web port: headers, origin checks, the session cookie, tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from server.api.endpoint import Role
from server.api.errors import ApiError, not_signed_in
from server.store.roles import ROLES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from server.api.services import Services
    from server.store.accounts import Visitor

COOKIE = "watchkeep_session"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_ROLES = {name: Role[name.upper()] for name in ROLES}

# Nothing inline, nothing from elsewhere: a value that got into the page as markup still cannot run or phone home.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Server": "Watchkeep",
}


def guard_answers(*, is_https: bool) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """Return the signal that puts the protecting headers on every answer, errors and streams included."""

    async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(_HEADERS)
        if is_https:
            response.headers["Strict-Transport-Security"] = "max-age=31536000"
        if request.path.startswith("/api/"):
            response.headers[hdrs.CACHE_CONTROL] = "no-store"

    return add_headers


def origin_middleware(services: Services) -> Any:
    """Refuse state-changing requests that another site's page made the browser send.

    Browsers name where a request comes from in Sec-Fetch-Site and Origin and let no page forge them; programs send
    neither, and carry no cookie by accident. The session cookie's SameSite=Strict is the second lock. A token in the
    Authorization header is put there on purpose, and the cookie counts for nothing beside it: no origin is checked.
    """

    @web.middleware
    async def check_origin(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        is_checked = request.method not in _SAFE_METHODS and bearer_of(request) is None
        if is_checked and not _is_own_origin(request):
            services.refusals.count("web.cross_site", f"{request.method} {request.path} from {request.remote}")
            raise ApiError(
                403,
                "cross_site",
                "The request comes from another site's page.",
                remedy="Use Watchkeep's own page; a reverse proxy in front has to hand on the Host header.",
            )
        return await handler(request)

    return check_origin


def _is_own_origin(request: web.Request) -> bool:
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None and site not in {"same-origin", "none"}:
        return False
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is None:
        return True
    # The scheme is not compared: behind a TLS-ending proxy it differs; Sec-Fetch-Site covers it in browsers.
    return urlsplit(origin).netloc.casefold() == request.headers.get(hdrs.HOST, "").casefold() != ""


def give_cookie(answer: web.StreamResponse, token: str, *, seconds: int, is_https: bool) -> None:
    """Hand the session's token to the browser, out of reach of scripts and of other sites' requests."""
    answer.set_cookie(COOKIE, token, max_age=seconds, path="/", httponly=True, samesite="Strict", secure=is_https)


def take_cookie(answer: web.StreamResponse, *, is_https: bool) -> None:
    """Make the browser forget the session's token."""
    answer.del_cookie(COOKIE, path="/", httponly=True, samesite="Strict", secure=is_https)


def bearer_of(request: web.Request) -> str | None:
    """Return the token of the Authorization header, "" for an empty one; None where no token is offered.

    Other schemes are left alone: a reverse proxy may ask browsers for its own password in that header.
    """
    scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    return token.strip() if scheme.casefold() == "bearer" else None


async def recognise(request: web.Request, services: Services, role: Role) -> Visitor | None:
    """Return whose session or token the request carries; raise ApiError 401, 403 or 429 where it does not reach `role`.

    Endpoints for anyone are not looked up at all, so they work without the database.
    """
    if role is Role.ANYONE:
        return None
    visitor = await visitor_of(request, services)
    if visitor is None:
        if bearer_of(request) is not None:
            await services.token_door.refuse(request.remote or "unknown", f"{request.method} {request.path}")
        if COOKIE in request.cookies:  # a stranger at the door is no refusal worth counting, a bad key is
            services.refusals.count("web.session_over", f"{request.method} {request.path} from {request.remote}")
        raise not_signed_in()
    if not reaches(visitor, role):
        services.refusals.count("web.forbidden", f"{request.method} {request.path} by {visitor.user}")
        if request.method not in _SAFE_METHODS:
            await services.token_door.note_forbidden(visitor, request.remote or "unknown", request.method, request.path)
        raise ApiError(
            403,
            "forbidden",
            f"The role {visitor.role!r} may not do that.",
            remedy="Ask an administrator, or sign in as one.",
        )
    return visitor


def reaches(visitor: Visitor, role: Role) -> bool:
    """Tell whether the visitor may do what asks for `role`; a role that this version does not know may do nothing."""
    return _ROLES.get(visitor.role, Role.ANYONE) >= role


async def visitor_of(request: web.Request, services: Services) -> Visitor | None:
    """Return whose live session the cookie names, or whose token the Authorization header; the header wins."""
    bearer = bearer_of(request)
    if bearer is not None:
        return await services.token_door.visitor(bearer, request.remote or "unknown")
    token = request.cookies.get(COOKIE)
    if token is None or not 20 <= len(token) <= 100 or not token.isascii():
        return None
    return await services.accounts.find_visitor(token)
