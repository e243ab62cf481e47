"""What a visitor restricted to host groups may see; every endpoint that speaks of hosts asks here.

Looked up at each request, so that a changed account, token or host group holds from the next request on. What a visitor
may not see is answered as if it were not there: 404, left out, and not counted.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from server.api.errors import ApiError, not_found
from server.store.groups import read_hosts_in
from triggers.expression import ExpressionError, parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.api.endpoint import Call
    from server.api.services import Services
    from server.inventory.plan import StoredDefinition
    from server.store.database import Connection
    from server.store.roles import Groups


async def visible_hosts(call: Call, connection: Connection | None = None) -> frozenset[str] | None:
    """Return the names of the hosts the visitor may see; None: every host. Raises StoreAway.

    Who holds a connection already gives it: many at once who each waited for a second one would wait for each other.
    """
    groups = groups_of(call)
    if groups is not None and connection is not None:
        return await read_hosts_in(connection, groups)
    return await hosts_within(call.services, groups)


async def hosts_within(services: Services, groups: Groups) -> frozenset[str] | None:
    """Return the names of the hosts in the groups; None: every host. Raises StoreAway."""
    if groups is None:
        return None
    async with services.database.connection() as connection:
        return await read_hosts_in(connection, groups)


async def require_host(call: Call, host_name: str) -> None:
    """Raise ApiError 404 for a host the visitor may not see, as for one that does not exist.

    Whether the host exists is the endpoint's to find out: for a visitor who is not restricted nothing is looked up.
    """
    visible = await visible_hosts(call)
    if visible is not None and host_name not in visible:
        raise not_found("host", host_name)


def require_unrestricted(call: Call) -> None:
    """Raise ApiError 403 for a visitor restricted to host groups: what the endpoint shows cannot be cut to hosts."""
    if groups_of(call) is not None:
        call.services.refusals.count("web.restricted", f"{call.request.method} {call.request.path} by {call.user}")
        raise ApiError(
            403,
            "restricted",
            "Your account is restricted to host groups, and this concerns all hosts.",
            remedy="Ask an administrator, or somebody who sees every host.",
        )


def require_session(call: Call) -> None:
    """Raise ApiError 403 for a token: what outlives it or renews it is done by a person who signed in."""
    if call.visitor is None or call.visitor.token_id is not None:
        call.services.refusals.count("web.needs_session", f"{call.request.method} {call.request.path} by {call.user}")
        raise ApiError(
            403,
            "needs_session",
            "A token may not do that.",
            remedy="Sign in with user and password, or use the command `watchkeep token` on the server.",
        )


def groups_of(call: Call) -> Groups:
    """Return the groups the visitor is restricted to; nobody signed in is restricted to none at all."""
    return frozenset() if call.visitor is None else call.visitor.groups


def cut(found: Sequence[StoredDefinition], visible: frozenset[str] | None, groups: Groups) -> list[StoredDefinition]:
    """Return the definitions a visitor may see; pure.

    One restricted to groups sees his hosts, without the names of groups that are not his, and their templates, except
    those whose expressions name another host; no receivers, since they are about everybody.
    """
    if visible is None or groups is None:
        return list(found)
    hosts = [each for each in found if each.kind == "host" and each.name in visible]
    templates = {name for host in hosts for name in host.body.get("templates", ())}
    kept = [replace(each, body=_cut_groups(each.body, groups)) for each in hosts]
    kept += [
        each for each in found if each.kind == "template" and each.name in templates and _names_only(each.body, visible)
    ]
    return kept


def _cut_groups(body: dict[str, Any], groups: frozenset[str]) -> dict[str, Any]:
    return body | {"groups": [name for name in body.get("groups", ()) if name in groups]}


def _names_only(template: dict[str, Any], visible: frozenset[str]) -> bool:
    """Tell whether every host that the expressions name is visible; one that cannot be read might name any."""
    for trigger in template.get("triggers", ()):
        try:
            parsed = parse(trigger["expression"])
        except (ExpressionError, KeyError):
            return False
        if any(call.item.host is not None and call.item.host not in visible for call in parsed.calls):
            return False
    return True
