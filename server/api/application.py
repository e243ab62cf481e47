"""Composes the web port: the API's endpoints, their description, the page, and the guards around all of them."""

import json
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from server.api import (
    audit,
    backup_runs,
    backups,
    balance,
    coverage,
    definitions,
    enrolment,
    escalations,
    exchange,
    groups,
    health,
    history,
    hosts,
    items,
    keys,
    ledger,
    problem,
    problems,
    receivers,
    restorations,
    restore_points,
    session,
    stream,
    tokens,
    users,
)
from server.api.description import describe
from server.api.dispatch import route
from server.api.endpoint import Call, Endpoint, Role, endpoint
from server.api.errors import fault_middleware
from server.api.security import guard_answers, origin_middleware
from server.api.services import Services


@endpoint("GET", "/openapi.json", role=Role.VIEWER)
async def show_description(call: Call) -> web.Response:  # noqa: ARG001 - every handler takes its call
    """Describe this API as an OpenAPI document."""
    return web.Response(body=_DESCRIPTION, content_type="application/json")


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *session.ENDPOINTS,
    *hosts.ENDPOINTS,
    *items.ENDPOINTS,
    *history.ENDPOINTS,
    *ledger.ENDPOINTS,
    *exchange.ENDPOINTS,
    *problems.ENDPOINTS,
    *problem.ENDPOINTS,
    *receivers.ENDPOINTS,
    *escalations.ENDPOINTS,
    *backups.ENDPOINTS,
    *restore_points.ENDPOINTS,
    *restorations.ENDPOINTS,
    *coverage.ENDPOINTS,
    *backup_runs.ENDPOINTS,
    *health.ENDPOINTS,
    *balance.ENDPOINTS,
    *definitions.ENDPOINTS,
    *groups.ENDPOINTS,
    *users.ENDPOINTS,
    *tokens.ENDPOINTS,
    *audit.ENDPOINTS,
    *enrolment.ENDPOINTS,
    *keys.ENDPOINTS,
    *stream.ENDPOINTS,
    show_description,
)
_DESCRIPTION: Final = json.dumps(describe(ENDPOINTS)).encode()


def make_application(services: Services) -> web.Application:
    """Return the application that serves the API and, where `services.pages` is given, the page.

    While it runs, the live feed runs; cleaning the application up ends every stream.
    """
    application = web.Application(
        client_max_size=services.terms.max_body_bytes,
        middlewares=[fault_middleware(), origin_middleware(services)],
    )
    application.on_response_prepare.append(guard_answers(is_https=services.terms.is_https))
    application.cleanup_ctx.append(stream.running(services))
    application.on_cleanup.append(_close_threads(services))
    application.add_routes([route(declared, services) for declared in ENDPOINTS])
    if services.pages is not None:
        application.router.add_route("*", "/{path:(?!api/).*}", services.pages)
    return application


def _close_threads(services: Services) -> Callable[[web.Application], Awaitable[None]]:
    async def close(_: web.Application) -> None:
        services.passwords.close()
        if services.restoring is not None:
            await services.restoring.close()

    return close
