"""Which restore points need a key, and which key of a name counts: pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from backup.keys.key import Key
    from backup.model import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A restore point of a set. label: HOST/SET."""

    label: str
    manifest: Manifest


def needed_by(key: Key, keys: Sequence[Key], saved: Iterable[Saved]) -> list[Saved]:
    """Return what cannot be used any more without `key`, one of `keys`.

    Signed by it: whoever has not its public half cannot trust it. Encrypted to it: when its secret is here, and that of
    no other key it is encrypted to.
    """
    others = {each.fingerprint for each in keys if each.has_secret and each.fingerprint != key.fingerprint}
    return [
        each
        for each in saved
        if each.manifest.signer == key.fingerprint
        or (
            key.has_secret
            and key.fingerprint in each.manifest.recipients
            and not others.intersection(each.manifest.recipients)
        )
    ]


def newest_of_name(keys: Iterable[Key]) -> dict[str, Key]:
    """Return for each name the youngest key: it takes the place of older ones of that name, which were rotated."""
    found: dict[str, Key] = {}
    for key in keys:
        known = found.get(key.name)
        if known is None or (key.made_at, key.fingerprint) > (known.made_at, known.fingerprint):
            found[key.name] = key
    return found
