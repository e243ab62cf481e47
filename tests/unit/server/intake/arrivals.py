"""Arrivals and directories for the intake's tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from core.model.record import read_header
from server.intake.directory import draw_directory
from server.intake.screening import Arrival
from server.store.peers import Assignment, PeerKey, Source

if TYPE_CHECKING:
    from server.intake.directory import Directory

AGENT_KEY, PROXY_KEY, OTHER_PROXY_KEY, REVOKED_KEY = b"a" * 32, b"p" * 32, b"q" * 32, b"r" * 32
MINE, FOREIGN = UUID(int=7), UUID(int=8)
MOVED_AT = datetime(2026, 1, 1, tzinfo=UTC)


def arrival(record: bytes, key: bytes = PROXY_KEY) -> Arrival:
    """A record as it came under a key."""
    return Arrival(key, read_header(record), memoryview(record))


def directory() -> Directory:
    """One agent (MINE) carried by group 1 until MOVED_AT and by group 2 since; another source in group 1."""
    sources = [
        Source(id=1, uuid=MINE, name="mine", host_id=11),
        Source(id=2, uuid=FOREIGN, name="foreign", host_id=12),
    ]
    keys = [
        _key(AGENT_KEY, "agent", source_id=1, source_uuid=MINE),
        _key(PROXY_KEY, "proxy", group_id=1),
        _key(OTHER_PROXY_KEY, "proxy", group_id=2),
        _key(REVOKED_KEY, "proxy", group_id=1, revoked_at=MOVED_AT),
    ]
    assignments = [
        Assignment(source_id=1, group_id=1, assigned_at=datetime(2025, 1, 1, tzinfo=UTC), released_at=MOVED_AT),
        Assignment(source_id=1, group_id=2, assigned_at=MOVED_AT, released_at=None),
        Assignment(source_id=2, group_id=1, assigned_at=datetime(2025, 1, 1, tzinfo=UTC), released_at=None),
    ]
    return draw_directory(sources, keys, assignments)


def _key(
    key: bytes,
    role: str,
    *,
    source_id: int | None = None,
    source_uuid: UUID | None = None,
    group_id: int | None = None,
    revoked_at: datetime | None = None,
) -> PeerKey:
    return PeerKey(
        key=key, role=role, name=role, source_id=source_id, source_uuid=source_uuid, group_id=group_id,
        revoked_at=revoked_at,
    )  # fmt: skip
