"""The keys of a run: what is wrong with them is known before hours of reading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from backup.keys.safekeeping import first_expiry, reminders

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from backup.keys.key import Key
    from backup.keys.ring import KeyRing
    from backup.saving.attempt import Attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class RunKeys:
    """The keys of this run; both sorts have been tried before anything is read."""

    ring: KeyRing
    signer: Key
    recipients: Sequence[Key]


def try_keys(attempt: Attempt, ring: KeyRing, now: datetime) -> RunKeys:
    """Return the keys after having tried them; the attempt has what a person is to be told of them.

    Raises KeyMissing, KeyExpired, KeyForbidden, PassphraseMissing, PassphraseWrong.
    """
    ring.demand_no_decryption_key()
    signer = ring.signing_key(now)
    recipients = ring.recipients(attempt.settings.keys.recipients, now)
    ring.check_passphrase(signer)
    attempt.reminders = reminders(ring.home, [signer, *recipients], now)
    attempt.key_expires_at = first_expiry([signer, *recipients])
    return RunKeys(ring=ring, signer=signer, recipients=recipients)
