"""Takes a newcomer in: its host, its source, its key and what it is to sample, in the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.inventory.apply import define_newcomer
from server.store.enrolment import has_host, host_of_source, lock_enrolment
from server.store.inventory import ensure_hosts
from server.store.peers import PeerKey, add_key, assign_source, ensure_group, ensure_source, find_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.security.enrolment import Newcomer
    from server.store.database import Connection


class EnrolmentRefused(Exception):
    """A newcomer is not let in. `code` is a word for programs, `remedy` says what to do."""

    def __init__(self, status: int, code: str, message: str, remedy: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.remedy = remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a newcomer goes. `is_named`: an administrator chose the host, so it may be one there is already."""

    host: str
    is_named: bool
    templates: Sequence[str]
    groups: Sequence[str]
    proxy_group: str


async def let_in(connection: Connection, newcomer: Newcomer, place: Place, *, by: str) -> None:
    """Let the holder of a key speak for one host; nobody else is let in until the transaction ends.

    A newcomer gets no host there is already, unless an administrator named it, and no other host's source: else it
    could write among somebody else's values. Raises EnrolmentRefused.
    """
    await lock_enrolment(connection)
    known_key = await find_key(connection, newcomer.key)
    if known_key is not None:
        raise EnrolmentRefused(
            409,
            "key_known",
            f"this key is known already as that of {known_key.name}",
            "join with another --data folder: it gets a key of its own",
        )
    is_known, owner = await host_of_source(connection, newcomer.source)
    if is_known and not (place.is_named and owner == place.host):
        raise EnrolmentRefused(
            409,
            "source_known",
            "the id of this data folder belongs to another host already (a cloned machine?)",
            f"join with another --data folder, or with a token made for the host {owner or newcomer.name}",
        )
    if not place.is_named and await has_host(connection, place.host):
        raise EnrolmentRefused(
            409,
            "name_taken",
            f"there is a host {place.host} already",
            "join with another --name, or with a token made for that host (--host)",
        )
    group = await ensure_group(connection, place.proxy_group)
    hosts = await ensure_hosts(connection, {place.host})
    source = await ensure_source(connection, newcomer.source, place.host, hosts[place.host])
    await assign_source(connection, source.id, group)
    key = PeerKey(
        key=newcomer.key,
        role="agent",
        name=place.host,
        source_id=source.id,
        source_uuid=newcomer.source,
        group_id=None,
        revoked_at=None,
    )
    await add_key(connection, key)
    await define_newcomer(connection, place.host, place.templates, place.groups, by=by)
