"""A key, as a ring has it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Set

HOST_MARK: Final = "watchkeep host"
STATION_MARK: Final = "watchkeep station"
_HOST_NAME: Final = re.compile(r"(\S+) \(" + HOST_MARK + r"\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key in a ring. name: its user id. `can_encrypt` and `can_sign` speak of the key or a subkey of it."""

    fingerprint: str
    name: str
    made_at: datetime
    expires_at: datetime | None
    has_secret: bool
    can_encrypt: bool
    can_sign: bool
    is_revoked: bool = False

    @property
    def host(self) -> str | None:
        """The host it signs for; None when it is no host's signing key."""
        match = _HOST_NAME.fullmatch(self.name)
        return None if match is None else match[1]

    @property
    def plain_name(self) -> str:
        """Its name without the mark of its role."""
        return self.name.removesuffix(f" ({HOST_MARK})").removesuffix(f" ({STATION_MARK})")

    def is_expired(self, now: datetime) -> bool:
        """Whether it is past its expiry date."""
        return self.expires_at is not None and self.expires_at <= now


def described(key: Key) -> str:
    """Return how an error names a key."""
    return f"the key {key.name!r} ({key.fingerprint[-16:]})"


def read_key(entry: Mapping[str, Any], secret: Set[str]) -> Key:
    """Return the key of an entry of gpg's list; `secret` are the fingerprints whose secret is there."""
    parts = [entry, *entry.get("subkey_info", {}).values()]
    ends = [int(part["expires"]) for part in parts if part.get("expires")]
    abilities = "".join(str(part.get("cap", "")) for part in parts)
    return Key(
        fingerprint=str(entry["fingerprint"]),
        name=str(entry["uids"][0]) if entry["uids"] else "",
        made_at=datetime.fromtimestamp(int(entry["date"]), UTC),
        expires_at=datetime.fromtimestamp(min(ends), UTC) if ends else None,
        has_secret=entry["fingerprint"] in secret,
        can_encrypt="e" in abilities,
        can_sign="s" in abilities,
        is_revoked=entry.get("trust") == "r",
    )
