"""Runs one request through its endpoint: who asks, what is asked, in which time, answered in which form."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from server.api.asking import read_asked
from server.api.endpoint import PREFIX, Answer, Call
from server.api.errors import timed_out
from server.api.security import recognise

if TYPE_CHECKING:
    from server.api.endpoint import Endpoint
    from server.api.services import Services


def route(endpoint: Endpoint, services: Services) -> web.RouteDef:
    """Bind an endpoint to its path and method."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            async with asyncio.timeout(endpoint.timeout_seconds) as limit:
                visitor = await recognise(request, services, endpoint.role)
                asked = await read_asked(endpoint, request)
                call = Call(request=request, services=services, visitor=visitor)
                found = await endpoint.handler(call, **asked)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise timed_out(endpoint.timeout_seconds or 0.0) from error
        response = _as_response(found, endpoint.answer_status)
        for finish in call.finishers:
            finish(response)
        return response

    return web.RouteDef(
        endpoint.method, PREFIX + endpoint.path, answer, {"allow_head": False} if endpoint.method == "GET" else {}
    )


def _as_response(found: object, status: int) -> web.StreamResponse:
    if found is None:
        return web.Response(status=204)
    if isinstance(found, Answer):
        body = found.__pydantic_serializer__.to_json(found)
        return web.Response(status=status, body=body, content_type="application/json")
    if isinstance(found, web.StreamResponse):
        return found
    raise TypeError(f"an endpoint answered {type(found)}")
