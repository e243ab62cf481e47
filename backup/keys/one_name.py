"""A host's key has one name, which says whose restore points it may sign.

Whoever has the secret of a key can give it further names. One that was brought in for its own host and comes again with
another host's name would be trusted for that one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backup.errors import KeyBusy
from backup.keys.key import HOST_MARK

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def demand_one_name(entries: Iterable[Mapping[str, Any]], known: Mapping[str, str]) -> None:
    """Return when no host's key among the `entries` of gpg's list has two names. Raises KeyBusy.

    known: the names of the keys that are there, by their fingerprints.
    """
    for entry in entries:
        fingerprint = str(entry["fingerprint"])
        names = {*map(str, entry["uids"]), *([known[fingerprint]] if fingerprint in known else [])}
        if len(names) > 1 and any(HOST_MARK in name for name in names):
            raise KeyBusy(
                f"the key {fingerprint} has several names: {', '.join(sorted(names))}. It could sign for another host:"
                " nothing was brought in; make a new pair at its host (bkp key rotate host)"
            )
