"""A role's key folder: a GNUPGHOME of its own, its passphrase file, and what is done with the keys in it."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from backup.errors import (
    EngineFailed,
    KeyBusy,
    KeyExpired,
    KeyForbidden,
    KeyMissing,
    PassphraseMissing,
    PassphraseWrong,
    why,
)
from backup.keys.gpg import TIME_LIMIT_SECONDS, Gpg, check_room, end_agent, trouble, whole
from backup.keys.key import described, read_key
from backup.keys.need import newest_of_name
from backup.keys.one_name import demand_one_name
from backup.keys.taking_in import scan, take_in
from backup.when import local

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from backup.keys.key import Key

_LOCK: Final = "watchkeep.lock"
_MAKING_TRIES: Final = 3


class KeyRing:
    """One GNUPGHOME. No call here ever prompts; each ends within a minute or raises TimedOut.

    A context manager: the last one to leave ends the gpg-agent of this home, so that no process stays behind. An
    object may be used without entering it; then the agent stays until the next one leaves.
    """

    def __init__(self, home: Path, passphrase_file: Path) -> None:
        """Open a key folder. Raises KeyMissing when it is not there, KeyBusy when others may enter it."""
        self.home = home
        self.passphrase_file = passphrase_file
        try:
            mode = home.stat().st_mode
        except OSError as error:
            raise KeyMissing(
                f"the key folder {home} is not there: bkp key import makes it, at a host or a station bkp key make"
            ) from error
        if stat.S_IMODE(mode) & 0o077:
            raise KeyBusy(f"others may enter the key folder {home}; make it private: chmod 700 {home}")
        check_room(home)
        self._gpg = Gpg(home)
        self._lock: int | None = None
        self._known: list[Key] | None = None

    def __enter__(self) -> Self:
        self._lock = os.open(self.home / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + TIME_LIMIT_SECONDS
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_SH | fcntl.LOCK_NB)  # exclusive only while somebody ends the agent
                return self
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    os.close(self._lock)
                    self._lock = None
                    raise KeyBusy(f"the key folder {self.home} is held by another process") from error
                time.sleep(0.02)

    def __exit__(self, *_: object) -> None:
        if self._lock is None:
            return
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass  # others are at work with this agent; the last of them ends it
        else:
            end_agent(self.home)
        os.close(self._lock)
        self._lock = None

    @property
    def gpg(self) -> Gpg:
        """The gpg of this folder, for the rest of this room."""
        return self._gpg

    def keys(self) -> list[Key]:
        """Return every key, in the order of their making; as they were when this object first looked or last wrote."""
        if self._known is None:
            self._known = self._look()
        return list(self._known)

    def _look(self) -> list[Key]:
        asked, doing = self._gpg.ask, f"looking into the key folder {self.home}"
        secret = {entry["fingerprint"] for entry in whole(asked(lambda: self._gpg.list_keys(secret=True)), doing)}
        found = [read_key(entry, secret) for entry in whole(asked(self._gpg.list_keys), doing)]
        return sorted(found, key=lambda key: (key.made_at, key.fingerprint))

    def pairs(self) -> list[Key]:
        """Return the keys whose secret is here."""
        return [key for key in self.keys() if key.has_secret]

    def signing_key(self, now: datetime) -> Key:
        """Return the one key that signs: of several, the youngest.

        Raises KeyMissing (one that was revoked is none), KeyExpired.
        """
        found = [key for key in self.keys() if key.has_secret and key.can_sign and key.host is not None]
        if not found:
            raise KeyMissing(f"there is no signing key in {self.home}; make one with: bkp key make host")
        key = found[-1]
        if key.is_revoked:
            raise KeyMissing(f"{described(key)} was revoked; make a new one: bkp key rotate host")
        if key.is_expired(now):
            raise KeyExpired(
                f"{described(key)} expired at {_said(key.expires_at)}; make a new one: bkp key rotate host"
            )
        return key

    def recipients(self, wanted: tuple[str, ...], now: datetime) -> list[Key]:
        """Return the keys to encrypt to: `wanted`, or of each name the youngest that encrypts.

        Raises KeyMissing (one was revoked, too), KeyExpired naming them.
        """
        able = {key.fingerprint: key for key in self.keys() if key.can_encrypt}
        lost = [fingerprint for fingerprint in wanted if fingerprint not in able]
        if lost or not able:
            what = f"the encryption key {lost[0]}" if lost else "an encryption key"
            raise KeyMissing(f"{what} is not in {self.home}; bring the station's public key: bkp key import FILE")
        chosen = [able[fingerprint] for fingerprint in wanted] or list(newest_of_name(able.values()).values())
        if revoked := [key for key in chosen if key.is_revoked]:
            raise KeyMissing(f"{described(revoked[0])} was revoked; bring a newer public key of the station")
        expired = [key for key in chosen if key.is_expired(now)]
        if expired:
            raise KeyExpired(
                f"{described(expired[0])} expired at {_said(expired[0].expires_at)}; bring a newer public key of the"
                " station"
            )
        return chosen

    def decryption_keys(self) -> list[Key]:
        """Return the keys that decrypt. Raises KeyMissing when there is none. An expired one still decrypts."""
        found = [key for key in self.keys() if key.has_secret and key.can_encrypt]
        if not found:
            raise KeyMissing(
                f"there is no decryption key in {self.home}; bring it from its sheet: bkp key import SHEET"
            )
        return found

    def signers(self) -> Mapping[str, frozenset[str]]:
        """Return for each host the fingerprints trusted to sign for it (user id "HOST (watchkeep host)")."""
        found: dict[str, frozenset[str]] = {}
        for key in self.keys():
            if key.host is not None and key.can_sign:
                found[key.host] = found.get(key.host, frozenset()) | {key.fingerprint}
        return found

    def passphrase(self) -> str:
        """Return the passphrase. Raises PassphraseMissing."""
        path = self.passphrase_file
        try:
            mode = path.stat().st_mode
            first = path.read_text(encoding="utf-8").split("\n", 1)[0].rstrip("\r")
        except (OSError, UnicodeDecodeError) as error:
            raise PassphraseMissing(f"the passphrase file {path} cannot be read: {why(error)}") from error
        if stat.S_IMODE(mode) & 0o077:
            raise PassphraseMissing(f"others may read the passphrase file {path}; make it private: chmod 600 {path}")
        if not first:
            raise PassphraseMissing(f"the passphrase file {path} is empty; its first line has to open the key")
        return first

    def check_passphrase(self, key: Key) -> None:
        """Return when the passphrase opens the key's secret. Raises PassphraseMissing, PassphraseWrong, KeyMissing."""
        self.export_secret(key)

    def export_secret(self, key: Key) -> str:
        """Return the secret key as armoured text, still locked by its passphrase. Raises as `check_passphrase`."""
        if not key.has_secret:
            raise KeyMissing(f"the secret of {described(key)} is not in {self.home}")
        passphrase = self.passphrase()
        gpg = self._gpg
        text = gpg.ask(lambda: gpg.export_keys(key.fingerprint, secret=True, passphrase=passphrase))
        if not text:
            raise trouble(gpg.last_words, f"opening {described(key)}")
        return str(text)

    def export_public(self, key: Key) -> str:
        """Return the public key as armoured text."""
        text = self._gpg.ask(lambda: self._gpg.export_keys(key.fingerprint))
        if not text:
            raise KeyMissing(f"{described(key)} is not in {self.home}")
        return str(text)

    def bring(self, armoured: str, *, may_be_secret: bool) -> list[Key]:
        """Take the keys of an armoured text in; return them as the ring has them now.

        Raises KeyMissing when it has none, KeyForbidden when it has a secret key and the ring's role must not, KeyBusy
        as `demand_one_name` does, and as `take_in` does when some of them did not arrive.
        """
        found = scan(self._gpg, armoured)
        if not found:
            raise KeyMissing("there is no OpenPGP key in that file")
        if any(entry["type"] == "sec" for entry in found) and not may_be_secret:
            raise KeyForbidden(
                "that file has a secret key: bring only the public key here (bkp key export at its home)"
            )
        demand_one_name(found, {key.fingerprint: key.name for key in self.keys()})
        passphrase = self.passphrase() if may_be_secret and self.passphrase_file.exists() else None
        self._known = None
        take_in(self._gpg, armoured, found, passphrase)
        brought = {entry["fingerprint"] for entry in found}
        return [key for key in self.keys() if key.fingerprint in brought]

    def delete(self, key: Key) -> None:
        """Delete a key for good, its secret first. Raises PassphraseMissing, EngineFailed."""
        passphrase = self.passphrase() if key.has_secret else None
        gpg = self._gpg
        for secret in (True, False) if key.has_secret else (False,):
            done = gpg.ask(lambda secret=secret: gpg.delete_keys(  # type: ignore[misc] # bound now, not at the call
                key.fingerprint, secret=secret, passphrase=passphrase, expect_passphrase=secret
            ))  # fmt: skip
            self._known = None
            if str(done) != "ok":
                raise EngineFailed(f"gpg did not delete {described(key)}: {done}")

    def make(self, parameters: str, name: str) -> Key:
        """Make a key pair from gpg's batch `parameters`; return it. Raises EngineFailed.

        On a busy machine gpg's agent may forget the passphrase, or muddle it ("Corrupted protection"), before the pair
        is whole: gpg is told where to look again, and is asked up to three times.
        """
        for _ in range(_MAKING_TRIES - 1):
            with suppress(EngineFailed, PassphraseWrong):
                return self._make_once(parameters, name)
        return self._make_once(parameters, name)

    def _make_once(self, parameters: str, name: str) -> Key:
        options = self._gpg.options
        self._gpg.options = [*options, "--passphrase-file", str(self.passphrase_file)]
        try:
            made = self._gpg.ask(lambda: self._gpg.gen_key(parameters))
        finally:
            self._gpg.options = options
        self._known = None
        found = [key for key in self.keys() if key.fingerprint == str(made.fingerprint)]
        if not found:
            raise trouble(str(made.stderr), f"making the key pair {name!r}")
        return found[0]

    def demand_no_decryption_key(self) -> None:
        """Raise KeyForbidden when this ring could decrypt a backup: whoever breaks into a host must not be able to."""
        for key in self.keys():
            if key.has_secret and key.can_encrypt:
                raise KeyForbidden(
                    f"{self.home} holds the secret of {described(key)}, which decrypts backups; a host must not have"
                    " it: move it to the restore station, delete it here"
                )

    @property
    def gnupg_version(self) -> str:
        """The version of the gpg that is used."""
        return ".".join(str(part) for part in self._gpg.version or ())

    def environment(self) -> dict[str, str]:
        """Return what duplicity needs to decrypt with this ring. PASSPHRASE and SIGN_PASSPHRASE are always there."""
        return {"GNUPGHOME": str(self.home), "PASSPHRASE": self.passphrase(), "SIGN_PASSPHRASE": ""}

    def signing_environment(self) -> dict[str, str]:
        """Return what duplicity needs to sign with this ring.

        PASSPHRASE is there and empty: with one duplicity believes that it can decrypt, tries to before an incremental,
        and fails.
        """
        return {"GNUPGHOME": str(self.home), "PASSPHRASE": "", "SIGN_PASSPHRASE": self.passphrase()}


def _said(at: datetime | None) -> str:
    return "an unknown time" if at is None else local(at)
