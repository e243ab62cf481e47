"""Whether somebody said that a key's sheet is safe; until then every command reminds of it."""

from __future__ import annotations

import json
from datetime import UTC
from typing import TYPE_CHECKING, Final

from core.model.counting import counted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from backup.keys.key import Key

EXPIRY_WARNING_DAYS: Final = 30
_FILE: Final = "watchkeep-sheets.json"


def confirm(home: Path, fingerprint: str, at: datetime) -> None:
    """Write down that the sheet of a key is kept safely. Raises OSError."""
    known = {**confirmed(home), fingerprint: at.astimezone(UTC).isoformat(timespec="seconds")}
    fresh = home / f"{_FILE}.new"
    fresh.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    fresh.replace(home / _FILE)


def confirmed(home: Path) -> dict[str, str]:
    """Return the fingerprints of keys whose sheet is safe, and since when. A damaged note counts as none."""
    try:
        known = json.loads((home / _FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(name): str(at) for name, at in known.items()} if isinstance(known, dict) else {}


def first_expiry(keys: Sequence[Key]) -> datetime | None:
    """Return when the first of these keys expires; None when none ever does."""
    return min((key.expires_at for key in keys if key.expires_at is not None), default=None)


def reminders(home: Path, keys: Sequence[Key], now: datetime) -> list[str]:
    """Return what the person at the command line has to be told about these keys, most urgent first."""
    safe = confirmed(home)
    found = [
        f"the key {key.name!r} expires on {key.expires_at:%Y-%m-%d}, in {counted((key.expires_at - now).days, 'day')}"
        for key in keys
        if key.expires_at is not None and 0 <= (key.expires_at - now).days < EXPIRY_WARNING_DAYS
    ]
    found += [
        f"the escrow sheet of {key.name!r} is not known to be safe; print it: bkp key escrow; then: bkp key confirm"
        for key in keys
        if key.has_secret and key.can_encrypt and key.fingerprint not in safe
    ]
    return found
