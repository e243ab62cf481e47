"""Templates, hosts and receivers: the same objects as in YAML files, checked by the same code."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, RootModel, StrictBool

from server.api.endpoint import Answer, Asked, Call, Role, Word, endpoint
from server.api.errors import ApiError, not_found
from server.api.scope import cut, groups_of, require_unrestricted, visible_hosts
from server.inventory.apply import (
    AUDIT_ACTION,
    DefinitionsMoved,
    DefinitionsWrong,
    Proposal,
    apply,
    check_documents,
    describe_changes,
    propose,
    propose_deletion,
)
from server.inventory.check import documents_from_plain
from server.inventory.fault import Fault
from server.inventory.model import Kind
from server.inventory.plan import Change, StoredDefinition
from server.store.definitions import Author, find_definition, read_definitions

_SECONDS = 30.0
_CHANGING = (409, 422)


class DefinitionPath(Asked):
    """A definition by kind and name."""

    kind: Kind
    name: Word


class KindQuery(Asked):
    """Which definitions."""

    kind: Kind | None = Field(None, description="Only this kind.")


class Document(RootModel[dict[str, Any]]):
    """A template, host or receiver, as docs/definitions.md describes it."""


class Documents(Asked):
    """Definitions that shall hold."""

    documents: Annotated[list[dict[str, Any]], Field(max_length=5000)]
    prune: StrictBool = Field(False, description="Delete what earlier files brought and these documents do not hold.")


class DefinitionView(Answer):
    """A definition as it is stored; `via` is the way it was last changed by."""

    kind: Kind
    name: str
    document: dict[str, Any]
    revision: int
    via: str
    changed_by: str
    changed_at: datetime


class DefinitionList(Answer):
    """Definitions, by kind and name."""

    definitions: list[DefinitionView]


class ChangeView(Answer):
    """One change; `before` is null for a creation, `after` for a deletion."""

    action: Literal["create", "update", "delete"]
    kind: Kind
    name: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    overwrites: str


class Changes(Answer):
    """What was changed, or would be; empty when everything holds already."""

    changes: list[ChangeView]


@endpoint("GET", "/definitions", role=Role.VIEWER)
async def list_definitions(call: Call, query: KindQuery) -> DefinitionList:
    """List what is defined; to visitors restricted to host groups, their hosts and those hosts' templates."""
    async with call.services.database.connection() as connection:
        found = await read_definitions(connection)
    seen = cut(found, await visible_hosts(call), groups_of(call))
    return DefinitionList(definitions=[_view(each) for each in seen if query.kind in {None, each.kind}])


@endpoint("POST", "/definitions/check", role=Role.VIEWER, timeout_seconds=_SECONDS, failures=(422,))
async def check_definitions(call: Call, body: Documents) -> Changes:
    """Check documents and say what applying them would change; changes nothing."""
    require_unrestricted(call)  # what is said compares with everything that is defined
    return _view_changes((await _propose(call, body)).changes)


@endpoint("POST", "/definitions/apply", role=Role.ADMINISTRATOR, timeout_seconds=_SECONDS, failures=_CHANGING)
async def apply_definitions(call: Call, body: Documents) -> Changes:
    """Make documents hold: all of them or, when any has a fault, none."""
    return await _apply(call, await _propose(call, body))


@endpoint("GET", "/definitions/{kind}/{name}", role=Role.VIEWER)
async def show_definition(call: Call, path: DefinitionPath) -> DefinitionView:
    """Show one definition."""
    visible = await visible_hosts(call)
    async with call.services.database.connection() as connection:
        if visible is None:
            found = await find_definition(connection, path.kind, path.name)
        else:
            seen = cut(await read_definitions(connection), visible, groups_of(call))
            found = next((each for each in seen if each.key == (path.kind, path.name)), None)
    if found is None:
        raise not_found(path.kind, path.name)
    return _view(found)


@endpoint("PUT", "/definitions/{kind}/{name}", role=Role.ADMINISTRATOR, timeout_seconds=_SECONDS, failures=_CHANGING)
async def put_definition(call: Call, path: DefinitionPath, body: Document) -> Changes:
    """Create a definition, or make it say this; the same request again changes nothing."""
    own = {"kind": path.kind, "name": path.name}
    for field, expected in own.items():
        if body.root.get(field, expected) != expected:
            raise ApiError(
                400,
                "invalid",
                f"body {field}: the address says {expected!r}",
                remedy=f"Leave {field} out of the body, or make it the same.",
            )
    return await _apply(call, await _propose(call, Documents(documents=[own | body.root])))


@endpoint("DELETE", "/definitions/{kind}/{name}", role=Role.ADMINISTRATOR, timeout_seconds=_SECONDS, failures=_CHANGING)
async def delete_definition(call: Call, path: DefinitionPath) -> Changes:
    """Delete a definition that no other one refers to."""
    proposal = await propose_deletion(call.services.database, path.kind, path.name)
    if proposal is None:
        raise not_found(path.kind, path.name)
    return await _apply(call, proposal)


async def _propose(call: Call, body: Documents) -> Proposal:
    """Check in a thread, since thousands of documents take a while; raise ApiError 422 naming every fault."""
    checked = await asyncio.to_thread(check_documents, documents_from_plain(body.documents))
    proposal = await propose(call.services.database, checked, via="web", prune=body.prune)
    if proposal.faults:
        raise _not_accepted(proposal.faults)
    return proposal


async def _apply(call: Call, proposal: Proposal) -> Changes:
    """Apply and write down who did; of many changes before and after stand in the definitions' own history."""
    try:
        revision = await apply(call.services.database, proposal, Author(name=call.user, via="web"))
    except DefinitionsWrong as wrong:
        raise _not_accepted(wrong.faults) from wrong
    except DefinitionsMoved as moved:
        raise ApiError(409, "moved", f"{moved}.", remedy="Send the request again.") from moved
    if proposal.changes:
        changed = describe_changes(proposal.changes, revision)
        await call.services.accounts.audit(
            actor=call.user, action=AUDIT_ACTION, object_=changed.object, address=call.address, detail=changed.detail
        )
    return _view_changes(proposal.changes)


def _not_accepted(faults: Sequence[Fault]) -> ApiError:
    first = faults[0]
    return ApiError(
        422,
        "not_accepted",
        f"{len(faults)} faults; the first, at {first.path or 'the top'}: {first.message}",
        remedy=first.remedy,
        details=[fault.to_json() for fault in faults],
    )


def _view(definition: StoredDefinition) -> DefinitionView:
    return DefinitionView(
        kind=definition.kind,
        name=definition.name,
        document=definition.body,
        revision=definition.revision,
        via=definition.via,
        changed_by=definition.changed_by,
        changed_at=definition.changed_at,
    )


def _view_changes(changes: Sequence[Change]) -> Changes:
    return Changes(
        changes=[
            ChangeView(
                action=change.action,
                kind=change.kind,
                name=change.name,
                before=change.before,
                after=change.after,
                overwrites=change.overwrites,
            )
            for change in changes
        ]
    )


ENDPOINTS = (
    list_definitions,
    check_definitions,
    apply_definitions,
    show_definition,
    put_definition,
    delete_definition,
)
