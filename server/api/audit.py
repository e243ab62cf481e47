"""The audit log, read."""

from datetime import datetime
from typing import Any

from pydantic import Field

from server.api.endpoint import Answer, Asked, Call, Role, Word, endpoint
from server.store.audit import AuditFilter, read_audit


class AuditQuery(Asked):
    """Which entries."""

    before: int | None = Field(None, ge=1, le=2**63 - 1, description="Only older ones: the last id of the page before.")
    limit: int = Field(100, ge=1, le=1000)
    actor: Word | None = Field(None, description="Only what this user did.")
    action: Word | None = Field(None, description='Only this action, or all of a kind: "account", "token", "session".')
    object: Word | None = Field(None, description="Only what was done to something with this text in its name.")


class AuditView(Answer):
    """One deed or refusal. A change's `detail` holds `before` and `after`, null where there was or is nothing."""

    id: int
    at: datetime
    actor: str
    action: str
    object: str
    address: str
    detail: dict[str, Any]


class AuditList(Answer):
    """Entries, newest first."""

    entries: list[AuditView]


@endpoint("GET", "/audit", role=Role.ADMINISTRATOR)
async def list_audit(call: Call, query: AuditQuery) -> AuditList:
    """List who did what, newest first."""
    wanted = AuditFilter(
        before_id=query.before, actor=query.actor, action=query.action, object=query.object, limit=query.limit
    )
    async with call.services.database.connection() as connection:
        found = await read_audit(connection, wanted)
    return AuditList(
        entries=[
            AuditView(
                id=entry.id,
                at=entry.at,
                actor=entry.actor,
                action=entry.action,
                object=entry.object,
                address=entry.address,
                detail=entry.detail,
            )
            for entry in found
        ]
    )


ENDPOINTS = (list_audit,)
