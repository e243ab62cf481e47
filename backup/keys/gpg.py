"""GnuPG through python-gnupg: never a prompt, never longer than its time, its troubles by name."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from typing import TYPE_CHECKING, Any, Final, TypeVar

import gnupg

from backup.errors import (
    EngineFailed,
    KeyBusy,
    KeyExpired,
    KeyMissing,
    KeyWrong,
    PassphraseMissing,
    PassphraseWrong,
    TimedOut,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from backup.errors import (
        BackupError,
    )

Result = TypeVar("Result")

TIME_LIMIT_SECONDS: Final = 60.0  # it ends what hangs: on a busy machine gpg and its agent may take their time
_CLEARING_SECONDS: Final = 5.0  # less than an agent gives us to end in order
_SOCKET_ROOM: Final = 107 - len("/S.gpg-agent.browser")  # sun_path of Linux, less the longest socket of the agent
_OPTIONS: Final = ("--pinentry-mode", "loopback", "--no-auto-key-locate")
# Stretching makes a guessable passphrase dearer to try, at half a second a volume; ours has 148 random bits.
PLAIN_CONFIG: Final = "s2k-count 65536\n"
AGENT_CONFIG: Final = (
    "# A passphrase is used once and forgotten.\ndefault-cache-ttl 0\nmax-cache-ttl 0\nallow-loopback-pinentry\n"
)

# libgpg-error's numbers in "[GNUPG:] ERROR/FAILURE place number": the low 16 bits say what happened.
_BAD_PASSPHRASE: Final = 11
_NO_PASSPHRASE: Final = frozenset({177, 99, 85, 31})  # no passphrase, cancelled, no pinentry
_KEY_EXPIRED: Final = 153
_NO_SECRET_KEY: Final = 17
_FAILURE: Final = re.compile(r"^\[GNUPG:\] (?:ERROR|FAILURE) \S+ (\d+)", re.MULTILINE)


class Gpg(gnupg.GPG):  # type: ignore[misc] # its base has no types
    """One home's gpg. Every call goes through `ask`, which ends it when its time is over."""

    def __init__(self, home: Path) -> None:
        self.last_words = ""  # what gpg said last: python-gnupg drops it where a call returns plain text
        self._running: subprocess.Popen[bytes] | None = None
        environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        try:
            super().__init__(gnupghome=str(home), options=list(_OPTIONS), env=environment, encoding="utf-8")
        except (OSError, ValueError) as error:
            raise KeyMissing(f"gpg cannot be used with the key folder {home}: {error}; is GnuPG installed?") from error

    def _open_subprocess(self, args: list[str], passphrase: bool = False) -> Any:
        self._running = super()._open_subprocess(args, passphrase)
        return self._running

    def _collect_output(self, process: Any, result: Any, writer: Any = None, stdin: Any = None) -> None:
        super()._collect_output(process, result, writer, stdin)
        self.last_words = str(getattr(result, "stderr", ""))

    def ask(self, question: Callable[[], Result], limit_seconds: float = TIME_LIMIT_SECONDS) -> Result:
        """Return what `question` (a call of ours) returns. Raises TimedOut after the limit, gpg having been ended.

        Nor does gpg go on when this is broken off: it might be about to start its agent, which nobody would end then.
        """
        late = threading.Event()

        def end() -> None:
            late.set()
            if self._running is not None:
                self._running.kill()

        watchdog = threading.Timer(limit_seconds, end)
        watchdog.daemon = True
        watchdog.start()
        try:
            answer = question()
        except BaseException:
            self._see_it_end()
            raise
        finally:
            watchdog.cancel()
        if late.is_set():
            raise TimedOut(f"gpg did not answer within {limit_seconds:g} s; is its agent in the way?")
        return answer

    def _see_it_end(self) -> None:
        """Wait until gpg has ended; kill it when that takes longer than starting an agent does."""
        if self._running is None:
            return
        try:
            self._running.wait(_CLEARING_SECONDS)
        except subprocess.TimeoutExpired:
            self._running.kill()
            self._running.wait()


def whole(listed: Any, doing: str) -> list[dict[str, Any]]:
    """Return the entries of a list of gpg's. Raises as `trouble` does when gpg failed: then it may lack some."""
    if listed.returncode != 0:
        raise trouble(str(listed.stderr), doing)
    return [dict(entry) for entry in listed]


def trouble(stderr: str, doing: str) -> BackupError:
    """Return the error a failed call of gpg means, from its status lines."""
    numbers = {int(number) & 0xFFFF for number in _FAILURE.findall(stderr)}
    if _BAD_PASSPHRASE in numbers or "[GNUPG:] BAD_PASSPHRASE" in stderr:
        return PassphraseWrong(f"{doing}: the passphrase in the file does not open the key")
    if (
        "[GNUPG:] MISSING_PASSPHRASE" in stderr
        or "in batchmode - can't get input" in stderr
        or numbers & _NO_PASSPHRASE
    ):
        return PassphraseMissing(f"{doing}: the key needs a passphrase and the file has none")
    if "[GNUPG:] KEYEXPIRED" in stderr or _KEY_EXPIRED in numbers:
        return KeyExpired(f"{doing}: the key has expired")
    if "[GNUPG:] NO_SECKEY" in stderr:
        return KeyWrong(f"{doing}: it is encrypted to a key that is not here")
    if _NO_SECRET_KEY in numbers:
        return KeyMissing(f"{doing}: the secret key is not here")
    words = [line.removeprefix("gpg: ") for line in stderr.splitlines() if line.startswith("gpg: ")]
    return EngineFailed(f"{doing}: gpg failed: {'; '.join(words[-3:]) or 'without a word'}")


def check_room(home: Path) -> None:
    """Raise KeyBusy when gpg's agent cannot have its socket in `home`: the path is too long for one."""
    if len(os.fsencode(home.absolute())) > _SOCKET_ROOM:
        raise KeyBusy(f"the path of the key folder {home} is too long for gpg's sockets: at most {_SOCKET_ROOM} bytes")


def end_agent(home: Path) -> None:
    """End the gpg-agent of a home, if one runs. An agent that does not end is no error: it remembers nothing."""
    try:
        subprocess.run(
            ["gpgconf", "--homedir", str(home), "--kill", "gpg-agent"],
            check=False, timeout=TIME_LIMIT_SECONDS, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return
