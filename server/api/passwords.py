"""Passwords: made, judged, hashed with argon2id; the hashing runs in two threads of its own."""

from __future__ import annotations

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError
from argon2.profiles import RFC_9106_LOW_MEMORY

MIN_LETTERS: Final = 10
MAX_LETTERS: Final = 256
_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that is mistaken for another when read aloud


class WeakPassword(ValueError):
    """A new password that is not accepted; the message says what is."""


def check_new_password(password: str, user: str) -> None:
    """Raise WeakPassword unless the password may become `user`'s: length counts, not kinds of letters."""
    if not MIN_LETTERS <= len(password) <= MAX_LETTERS:
        raise WeakPassword(f"a password has {MIN_LETTERS} to {MAX_LETTERS} letters")
    if len(set(password)) < 4:
        raise WeakPassword("that password repeats a few letters only")
    if user.casefold() in password.casefold() and len(password) < len(user) + MIN_LETTERS:
        raise WeakPassword("the user's name is most of that password")


def generate_password() -> str:
    """Make a password of 99 bits in five groups of four letters."""
    letters = [secrets.choice(_ALPHABET) for _ in range(20)]
    return "-".join("".join(letters[start : start + 4]) for start in range(0, 20, 4))


class Passwords:
    """Hashes and verifies off the event loop; at most two at once (64 MiB of memory each), the rest wait."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")

    async def hash(self, password: str) -> str:
        """Return the argon2id text to store."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._hasher.hash, password)

    async def is_right(self, password: str, stored: str | None) -> bool:
        """Compare with a stored hash; `stored` None (no such user) takes as long and is never right."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._verify, stored, password)

    def is_outdated(self, stored: str) -> bool:
        """Tell whether the hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(stored)

    def close(self) -> None:
        """Let the threads go; a running hash ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    @cached_property
    def _nobody(self) -> str:
        """What an unknown user's password is compared with, so that the answer takes as long as a known one's."""
        return self._hasher.hash(secrets.token_hex(16))

    def _verify(self, stored: str | None, password: str) -> bool:
        try:
            is_right = self._hasher.verify(self._nobody if stored is None else stored, password)
            return is_right and stored is not None
        except VerifyMismatchError:
            return False
        except (VerificationError, InvalidHashError):
            return False
