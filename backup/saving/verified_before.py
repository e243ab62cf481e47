"""Manifests whose signatures held at a run before: gpg is not started for each of them at every run again."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from backup.keys.messages import Verified, verify

if TYPE_CHECKING:
    from backup.keys.ring import KeyRing
    from backup.saving.journal import Journal

_FORM: Final = "watchkeep-verified-1"


class VerifiedBefore:
    """What this host verified, by the SHA-256 of the whole signed text, under the public keys it has now.

    With other public keys (one came, went or was revoked) everything is verified anew. Who can write into the work
    folder has the signing key's passphrase within reach as well, so nothing is trusted here that was not before.
    """

    def __init__(self, journal: Journal, ring: KeyRing) -> None:
        self._file = journal.folder / "verified.json"
        self._ring = ring
        self._keys = _sum_of_keys(ring)
        self._before = self._read()
        self._now: dict[str, list[Any]] = {}

    def verify(self, signed: str) -> Verified:
        """Do what `verify` does, by gpg or by what it said before. Raises as that does."""
        digest = hashlib.sha256(signed.encode("utf-8")).hexdigest()
        known = self._now.get(digest) or self._before.get(digest)
        if known is None:
            verified = verify(self._ring, signed)
            begin = signed.find(verified.text)
            if begin < 0:
                return verified
            known = [begin, begin + len(verified.text), verified.signer]
        self._now[digest] = known
        begin, end, signer = known
        return Verified(text=signed[begin:end], signer=signer)

    def write(self) -> None:
        """Keep what was verified in this run. What cannot be kept is verified again."""
        if self._keys is None or self._now == self._before:
            return
        draft = self._file.with_suffix(".new")
        try:
            draft.write_text(json.dumps({"form": _FORM, "keys": self._keys, "verified": self._now}), encoding="utf-8")
            draft.replace(self._file)
        except OSError:
            return
        self._before = dict(self._now)

    def _read(self) -> dict[str, list[Any]]:
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))
            if found["form"] != _FORM or found["keys"] != self._keys:
                return {}
            return {
                str(digest): [int(begin), int(end), str(signer)]
                for digest, (begin, end, signer) in found["verified"].items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}


def _sum_of_keys(ring: KeyRing) -> str | None:
    """Return the SHA-256 (hex) of the file gpg keeps public keys in; None where there is none of that name."""
    try:
        with (ring.home / "pubring.kbx").open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
