"""Replaces keys without losing a value: asks the holder, accepts what it offers, revokes the old key at last."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final, NoReturn

from core.runtime.logging import Log
from core.security.keys import key_text
from server.store.errors import StoreAway
from server.store.rotation import accept_offer, finish_rotation, read_rotations

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.runtime.clock import Clock
    from core.security.authority import Peer
    from core.wire.messages import NewKey
    from server.intake.directory import Directory
    from server.intake.presence import PresenceBook
    from server.store.database import Database
    from server.store.rotation import Rotation

log = Log("enrolment")

LOOK_SECONDS: Final = 1.0


class Rotations:
    """What was seen last of the keys to be replaced, looked at again every second. Only an active server acts."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        directory: Callable[[], Directory],
        presence: PresenceBook,
        is_active: Callable[[], bool],
        count_refusal: Callable[[str, str], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._directory = directory
        self._presence = presence
        self._is_active = is_active
        self._count_refusal = count_refusal
        self._open: dict[bytes, Rotation] = {}

    def amended(self, source: bytes, document: dict[str, Any]) -> dict[str, Any]:
        """Return the document of a source with what it shall know of its key."""
        found = self._open.get(source)
        if found is None:
            return document
        return document | {
            "rotation": {
                "old": key_text(found.old_key),
                "new": _text(found.new_key),
                "refused": _text(found.refused_key),
            }
        }

    async def offered(self, peer: Peer, message: NewKey) -> None:
        """Take a new key from its holder, or from a proxy that may relay its source; refusals are counted."""
        holder = self._directory().peer(message.old)
        if holder is None or holder.source is None or not self._may_bring(peer, message.old, holder.source):
            self._count_refusal("new_key", f"{peer.name} brought a new key for somebody else")
            return
        if (known := self._open.get(holder.source)) is not None and known.new_key == message.new:
            return
        try:
            async with self._database.connection() as connection, connection.transaction():
                found = await accept_offer(connection, message.old, message.new)
        except StoreAway as error:
            log.warning("a new key could not be accepted; its holder offers it again", holder=holder.name, error=error)
            return
        if found == "accepted":
            log.info("a new key is accepted beside the old one", holder=holder.name)
        elif found != "accepted_before":
            self._count_refusal("new_key", f"{holder.name} offered a new key: {found}")

    async def keep_looking(self) -> NoReturn:
        """Look until cancelled; revoke the old key of whoever is heard under the new one."""
        while True:
            with contextlib.suppress(StoreAway):  # the picture tells of it; what was seen last stays
                await self.look()
            await self._clock.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Look once. Raises StoreAway."""
        async with self._database.connection() as connection:
            found = await read_rotations(connection)
            self._open = {rotation.source.bytes: rotation for rotation in found}
            if not self._is_active():
                return
            for rotation in found:
                if rotation.new_key is not None and self._is_heard(rotation.source.bytes, rotation.new_key):
                    async with connection.transaction():
                        if await finish_rotation(connection, rotation.old_key, rotation.new_key):
                            log.info("a key was replaced", source=rotation.source)

    def _may_bring(self, peer: Peer, old: bytes, source: bytes) -> bool:
        if peer.role == "proxy":
            return self._directory().objection(peer.key, source, self._clock.now_us()) is None
        return peer.key == old

    def _is_heard(self, source: bytes, key: bytes) -> bool:
        return key in self._presence.upstreams or any(
            sighting.row.key == key for sighting in self._presence.sightings(source)
        )


def _text(key: bytes | None) -> str | None:
    return None if key is None else key_text(key)
