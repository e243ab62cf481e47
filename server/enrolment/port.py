"""The port newcomers ask at: two small HTTP requests and nothing else. It needs no TLS, see core/security/enrolment."""

from __future__ import annotations

import asyncio
import json
import math
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from core.runtime.logging import Log
from core.security.enrolment import MAX_REQUEST_BYTES, PATH
from server.enrolment.admission import EnrolmentRefused
from server.enrolment.limit import AddressLimit
from server.store.errors import StoreAway

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.runtime.clock import Clock
    from server.enrolment.exchange import Exchange

log = Log("enrolment")

ASKS_A_MINUTE: Final = 60
ANSWER_SECONDS: Final = 10.0


def make_enrolment_application(
    exchange: Exchange,
    clock: Clock,
    count_refusal: Callable[[str, str], None],
    *,
    asks_a_minute: int = ASKS_A_MINUTE,
) -> web.Application:
    """Return the application for the enrolment port.

    GET tells the time, so that a newcomer sees that its clock is wrong before it uses its token up. POST takes at
    most 4 KiB and answers within ten seconds; more than `asks_a_minute` requests of one address are put off.
    """
    limit = AddressLimit(asks_a_minute, 60.0)

    @web.middleware
    async def guard(request: web.Request, handler: Any) -> web.StreamResponse:
        address = request.remote or "unknown"
        wait = limit.begin(address, clock.monotonic())
        if wait > 0:
            count_refusal("too_many", f"from {address}")
            answer = _refusal(EnrolmentRefused(429, "too_many", "too many requests", "wait a minute"))
            answer.headers["Retry-After"] = str(math.ceil(wait))
            return answer
        try:
            async with asyncio.timeout(ANSWER_SECONDS) as time_limit:
                found: web.StreamResponse = await handler(request)
                return found
        except EnrolmentRefused as refused:
            return _refusal(refused)
        except web.HTTPRequestEntityTooLarge:
            count_refusal("too_large", f"from {address}")
            return _refusal(EnrolmentRefused(413, "too_large", "the request is too large", "use the same version"))
        except web.HTTPException as error:
            return _refusal(EnrolmentRefused(error.status, "not_here", "there is nothing here", f"ask at {PATH}"))
        except (StoreAway, TimeoutError) as error:
            if isinstance(error, TimeoutError) and not time_limit.expired():
                raise
            log.warning("a newcomer could not be answered", address=address, error=error)
            return _refusal(
                EnrolmentRefused(503, "store_away", "the database does not answer", "try again in a minute")
            )

    async def tell_time(_: web.Request) -> web.Response:
        return web.json_response({"version": 1, "clock_us": clock.now_us()})

    async def enrol(request: web.Request) -> web.Response:
        reply = await exchange.answer(await request.read(), request.remote or "unknown")
        return web.Response(status=reply.status, body=reply.body, content_type="application/json")

    application = web.Application(client_max_size=MAX_REQUEST_BYTES, middlewares=[guard])
    application.add_routes([web.get(PATH, tell_time, allow_head=False), web.post(PATH, enrol)])
    return application


def _refusal(refused: EnrolmentRefused) -> web.Response:
    body = {"error": {"code": refused.code, "message": refused.message, "remedy": refused.remedy}}
    return web.Response(status=refused.status, text=json.dumps(body), content_type="application/json")
