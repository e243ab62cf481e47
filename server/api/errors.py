"""What the API answers when it does not do what was asked: one shape, each with a remedy."""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
from typing import TYPE_CHECKING, Any

from aiohttp import hdrs, web

from server.store.errors import StoreAway

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

log = logging.getLogger(__name__)

_STATUS_WORDS = {
    400: ("bad_request", "The request could not be read.", "Compare it with /api/v1/openapi.json."),
    404: ("not_found", "There is nothing under this address.", "The addresses are listed in /api/v1/openapi.json."),
    405: ("wrong_method", "This address does not take that method.", "The methods are listed in /api/v1/openapi.json."),
    413: ("too_large", "The request is too large.", "Send less at once."),
}


class ApiError(Exception):
    """A refusal the caller can understand: what is wrong and what to do about it.

    `details` are one map per fault when there are several; `headers` go out with the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        remedy: str,
        details: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.remedy = remedy
        self.details = details
        self.headers = headers

    def answer(self) -> web.Response:
        """Make the HTTP answer."""
        body: dict[str, Any] = {"error": {"code": self.code, "message": self.message, "remedy": self.remedy}}
        if self.details:
            body["errors"] = [dict(detail) for detail in self.details]
        return web.json_response(body, status=self.status, headers=self.headers)


def not_signed_in() -> ApiError:
    """Nobody is known to be asking."""
    return ApiError(401, "not_signed_in", "You are not signed in.", remedy="Sign in with POST /api/v1/session.")


def not_found(what: str, name: object) -> ApiError:
    """The thing asked for by name is not there."""
    return ApiError(
        404,
        "not_found",
        f"There is no {what} {name!r}.",
        remedy=f"List what there is, then ask for a {what} by its exact name.",
    )


def too_many_tries(wait_seconds: float, message: str) -> ApiError:
    """Somebody tried to get in too often lately."""
    seconds = math.ceil(wait_seconds)
    return ApiError(
        429,
        "too_many_tries",
        message,
        remedy=f"Wait {seconds} s and try again.",
        headers={"Retry-After": str(seconds)},
    )


def timed_out(seconds: float) -> ApiError:
    """The work took longer than an endpoint may."""
    return ApiError(
        503,
        "timeout",
        f"The answer was not ready within {seconds:g} s.",
        remedy="Ask for less (fewer items, a shorter range), or look at the health page whether the database is slow.",
        headers={"Retry-After": "5"},
    )


def fault_middleware() -> Any:
    """Turn every refusal and every fault into the API's shape.

    A database that is away becomes 503. What nobody foresaw is logged with a reference and answered with that
    reference only, so that no inner text leaks.
    """

    @web.middleware
    async def answer_faults(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            return await handler(request)
        except ApiError as error:
            return error.answer()
        except web.HTTPException as error:
            if error.status not in _STATUS_WORDS or not request.path.startswith("/api/"):
                raise
            code, message, remedy = _STATUS_WORDS[error.status]
            allowed = error.headers.get(hdrs.ALLOW)  # RFC 9110 15.5.6 asks for it with 405
            headers = None if allowed is None else {str(hdrs.ALLOW): allowed}
            return ApiError(error.status, code, message, remedy=remedy, headers=headers).answer()
        except (asyncio.CancelledError, ConnectionResetError):
            raise
        except StoreAway as error:
            return _answer_store_away(request, error)
        except Exception as error:  # noqa: BLE001 - the supervisor of a request: a bug must not show its inside
            return _answer_bug(request, error)

    return answer_faults


def _answer_store_away(request: web.Request, error: StoreAway) -> web.Response:
    log.warning("the database did not answer a page's question", extra={"path": request.path, "error": str(error)})
    return ApiError(
        503,
        "store_away",
        "The database does not answer.",
        remedy="Try again in some seconds; `watchkeep doctor` says what is wrong with the database.",
        headers={"Retry-After": "5"},
    ).answer()


def _answer_bug(request: web.Request, error: Exception) -> web.Response:
    reference = secrets.token_hex(4)
    log.error("a request failed by a bug", extra={"path": request.path, "reference": reference}, exc_info=error)
    return ApiError(
        500,
        "bug",
        f"Something went wrong inside (reference {reference}).",
        remedy="Look for the reference in the server's log and report it.",
    ).answer()
