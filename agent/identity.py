"""The agent's key pair, and the one that is to replace it: both kept until the new one was welcomed.

On disk: the key file, and beside it, while the key is being replaced, the next pair under the same name and `.next`.
Invariants: a public key is told to nobody before its pair is on disk; the key file is replaced, in one step, only by a
pair that was welcomed. So a process killed at any moment comes back with a pair that is accepted: with two of them it
tries one after the other.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from core.runtime.logging import Log
from core.security.keys import KeyFault, save
from core.wire.curve import load_or_create, make_keys

if TYPE_CHECKING:
    from pathlib import Path

    from core.runtime.clock import Clock
    from core.security.keys import KeyPair

log = Log("agent")

AGAIN_SECONDS: Final = 10.0
"""After the new pair was not welcomed, it is not tried again earlier, unless the old one is not welcomed either."""


class Identity:
    """Which pair the next session speaks under."""

    def __init__(self, file: Path, clock: Clock) -> None:
        """Read the pair of `file`, made when missing, and the next one if there is one. Raises KeyFault."""
        self._file = file
        self._next_file = file.with_name(file.name + ".next")
        self._clock = clock
        self._current = load_or_create(file)
        self._next = self._read_next()
        self._tries_next = False
        self._was_welcome = True
        self._failed_at: float | None = None
        if self._next is not None and self._next.public == self._current.public:
            self._drop_next()  # killed between putting it in place and removing it

    @property
    def current(self) -> KeyPair:
        """The pair that was welcomed last."""
        return self._current

    def pair(self) -> KeyPair:
        """Return the pair for a session that begins now."""
        if self._next is None:
            return self._current
        if not self._was_welcome:
            if self._tries_next:
                self._failed_at = self._clock.monotonic()
            self._tries_next = not self._tries_next
        self._was_welcome = False
        return self._next if self._tries_next else self._current

    def welcomed(self) -> None:
        """Take note that the present session's pair is accepted; a new one takes the place of the old for good."""
        self._was_welcome = True
        if not self._tries_next or self._next is None:
            return
        try:
            save_over(self._file, self._next)
        except (OSError, KeyFault) as error:
            log.error("The new key cannot be put in place; it is tried again at the next link", error=error)
            return
        self._current = self._next
        self._drop_next()
        log.info("The key of this agent was replaced", key=self._current.public_text)

    def offer(self, old: str, refused: str | None) -> bytes | None:
        """Return the public key to be offered instead of `old`, made and on disk; None when `old` is not ours.

        Another is made when the server has `refused` the one that was made before. Raises KeyFault, OSError.
        """
        if old != self._current.public_text:
            return None
        if self._next is not None and self._next.public_text == refused:
            self._drop_next()
        if self._next is None:
            made = make_keys()
            save(self._next_file, made)
            self._next = made
        return self._next.public

    def has_next(self, new: str) -> bool:
        """Tell whether the new pair of this public key is ours."""
        return self._next is not None and self._next.public_text == new

    def accept(self, new: str) -> bool:
        """Tell whether a session under the new pair shall be begun now: the server accepts it, and it is ours."""
        if not self.has_next(new) or self._tries_next:
            return False
        if self._failed_at is not None and self._clock.monotonic() - self._failed_at < AGAIN_SECONDS:
            return False
        self._tries_next = True
        return True

    def _read_next(self) -> KeyPair | None:
        if not self._next_file.exists():
            return None
        try:
            return load_or_create(self._next_file)
        except KeyFault as error:
            log.warning("The next key is damaged and not used; another is made when it is asked for", error=error)
            self._next_file.unlink(missing_ok=True)
            return None

    def _drop_next(self) -> None:
        self._next = None
        self._tries_next = False
        self._failed_at = None
        self._next_file.unlink(missing_ok=True)


def save_over(path: Path, pair: KeyPair) -> None:
    """Replace the pair in `path` so that a crash leaves the old one or the new one. Raises OSError, KeyFault."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    save(draft, pair)
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
