"""Keys that are brought to a ring arrive whole, or it is said which did not.

gpg ends an import at the first key it has trouble with, and has counted the ones before, that one's public half with
them. What it says is therefore not asked but what is there afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from backup.errors import EngineFailed
from backup.keys.gpg import trouble, whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from backup.keys.gpg import Gpg

_TRIES: Final = 3
_NOTHING: Final = "[GNUPG:] NODATA"
_ELSEWHERE: Final = "#"  # gpg's token of a secret that is not with its key


def scan(gpg: Gpg, armoured: str) -> list[dict[str, Any]]:
    """Return gpg's entries of the keys in an armoured text; none when there are none in it. Raises as `trouble` does.

    gpg asks its agent about secret keys even so, and reads no further when it gets no answer.
    """
    for _ in range(_TRIES):
        listed = gpg.ask(lambda: gpg.scan_keys_mem(armoured))
        if listed.returncode == 0:
            break
        if _NOTHING in str(listed.stderr):
            return []
    return whole(listed, "reading the keys of that file")


def take_in(gpg: Gpg, armoured: str, found: Iterable[Mapping[str, Any]], passphrase: str | None) -> None:
    """Take the keys of an armoured text in, which `scan` found there.

    On a busy machine gpg's agent may not take a secret: it is asked up to three times. Raises as `trouble` does, or
    EngineFailed, when a key or a secret of it is not there afterwards.
    """
    wanted = dict(_pieces(found))
    for _ in range(_TRIES):
        result = gpg.ask(lambda: gpg.import_keys(armoured, passphrase=passphrase))
        there = dict(_pieces(whole(gpg.ask(gpg.list_keys), "looking for the keys that were brought")))
        # Not `whole`: gpg fails here without its agent, and what it cannot list then counts as not there.
        there |= _pieces(gpg.ask(lambda: gpg.list_keys(secret=True)))
        lacking = [name for piece, name in wanted.items() if piece not in there]
        if not lacking:
            return
    if not result.fingerprints:
        raise trouble(str(result.stderr), "importing")
    raise EngineFailed(f"{' and '.join(lacking)} did not arrive: {trouble(str(result.stderr), 'importing')}")


def _pieces(entries: Iterable[Mapping[str, Any]]) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield each public key, and each secret of a key or subkey that lies with it; with how an error names it."""
    for entry in entries:
        fingerprint = str(entry["fingerprint"])
        named = f"the key {str((entry['uids'] or ['?'])[0])!r} ({fingerprint[-16:]})"
        yield ("public", fingerprint), named
        if entry["type"] != "sec":
            continue
        if entry["token"] != _ELSEWHERE:
            yield ("secret", fingerprint), f"the secret of {named}"
        for number, subkey in entry.get("subkey_info", {}).items():
            if subkey["token"] != _ELSEWHERE:
                yield ("secret", str(number)), f"a secret of {named}"
