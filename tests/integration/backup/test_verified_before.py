"""A host verifies a manifest once, and again when it or the public keys have changed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from backup.errors import SignatureBad
from backup.keys.messages import verify
from backup.saving import verified_before
from backup.saving.journal import Journal
from backup.saving.verified_before import VerifiedBefore
from tests.support.backups import SET

if TYPE_CHECKING:
    from backup.keys.messages import Verified
    from backup.keys.ring import KeyRing
    from tests.support.backups import Site


def test_a_manifest_is_verified_by_gpg_once_until_it_or_the_keys_change(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def verifying(ring: KeyRing, signed: str) -> Verified:
        asked.append(signed)
        return verify(ring, signed)

    monkeypatch.setattr(verified_before, "verify", verifying)
    for _ in range(3):
        site.run()
    points = [path.read_text() for path in sorted(site.points.iterdir())]
    assert asked == points[:2]  # the third run asked for the second's alone; nobody has read the third's
    journal = Journal(site.settings().work, SET)
    with site.ring() as ring:
        memory = VerifiedBefore(journal, ring)
        assert memory.verify(points[0]) == verify(ring, points[0])
        assert asked == points[:2]
        with pytest.raises(SignatureBad):
            memory.verify(points[0].replace('"position": 0', '"position": 7'))
        asked.clear()
        ring.delete(ring.recipients((), datetime.now(UTC))[0])
        VerifiedBefore(journal, ring).verify(points[0])
        assert asked == points[:1]
