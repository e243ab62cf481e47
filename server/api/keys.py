"""Keys of agents, proxies and servers: who may speak, shutting out, replacing. Only administrators come here."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import StringConstraints

from core.security.enrolment import fingerprint
from core.security.keys import key_text
from server.api.endpoint import Answer, Asked, Call, Role, endpoint
from server.api.errors import ApiError, not_found
from server.store.audit import write_audit
from server.store.peers import PeerKey, find_key, read_keys, revoke_key
from server.store.rotation import Rotation, ask_rotation, read_rotations


class KeyPath(Asked):
    """A public key in hexadecimal."""

    key: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class KeyView(Answer):
    """A key and who speaks with it. `text` is its usual form; `rotation`: it is to be replaced, or its successor came.

    A successor is accepted beside the key until its holder uses it; then the key is revoked.
    """

    key: str
    text: str
    fingerprint: str
    role: str
    name: str
    source: UUID | None
    revoked_at: datetime | None
    rotation: Literal["asked", "accepted"] | None


class KeyList(Answer):
    """Every key ever allowed, oldest first."""

    keys: list[KeyView]


@endpoint("GET", "/keys", role=Role.ADMINISTRATOR)
async def list_keys(call: Call) -> KeyList:
    """List every key ever allowed."""
    async with call.services.database.connection() as connection:
        rotations = {rotation.old_key: rotation for rotation in await read_rotations(connection)}
        return KeyList(keys=[_view(key, rotations.get(key.key)) for key in await read_keys(connection)])


@endpoint("DELETE", "/keys/{key}", role=Role.ADMINISTRATOR)
async def shut_out_key(call: Call, path: KeyPath) -> None:
    """Shut the holder of a key out for ever; its live links end within two seconds."""
    key = bytes.fromhex(path.key)
    async with call.services.database.connection() as connection, connection.transaction():
        known = await find_key(connection, key)
        if known is None or not await revoke_key(connection, key):
            raise not_found("key that may speak", path.key)
        await write_audit(
            connection, actor=call.user, action="key.revoke", object_=known.name, address=call.address,
            detail={"key": fingerprint(key), "role": known.role},
        )  # fmt: skip


@endpoint("POST", "/keys/{key}/rotation", role=Role.ADMINISTRATOR, failures=(409,))
async def rotate_key(call: Call, path: KeyPath) -> KeyView:
    """Have an agent replace its key; asked again, nothing changes. No value is lost, whoever is killed meanwhile."""
    key = bytes.fromhex(path.key)
    async with call.services.database.connection() as connection:
        async with connection.transaction():
            outcome = await ask_rotation(connection, key, by=call.user, address=call.address)
        known = await find_key(connection, key)
        if outcome in {"unknown", "revoked"} or known is None:
            raise not_found("key that may speak", path.key)
        if outcome == "no_agent":
            raise ApiError(
                409,
                "no_agent",
                f"The key of a {known.role} is not replaced this way: other parts' configurations name it.",
                remedy="Give the part a new key by hand, as docs/enrolment.md says.",
            )
        rotations = {rotation.old_key: rotation for rotation in await read_rotations(connection)}
        return _view(known, rotations.get(key))


def _view(key: PeerKey, rotation: Rotation | None) -> KeyView:
    state: Literal["asked", "accepted"] | None = None
    if rotation is not None:
        state = "asked" if rotation.new_key is None else "accepted"
    return KeyView(
        key=key.key.hex(),
        text=key_text(key.key),
        fingerprint=fingerprint(key.key),
        role=key.role,
        name=key.name,
        source=key.source_uuid,
        revoked_at=key.revoked_at,
        rotation=state,
    )


ENDPOINTS = (list_keys, shut_out_key, rotate_key)
