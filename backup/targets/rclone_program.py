"""rclone as a program: how it is found, the environment it gets, and what its end means."""

from __future__ import annotations

import os
import re
import selectors
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from backup.errors import ConfigInvalid, ObjectMissing, TargetAway, TargetFull, TargetRefused, TimedOut
from backup.runtime.child import Program, run, running
from backup.runtime.signals import demand_going_on
from backup.targets.secret import first_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from backup.errors import BackupError
    from backup.settings.target import TargetSettings

TROUBLES: Final = (ConfigInvalid, ObjectMissing, TargetAway, TargetRefused, TargetFull)
INSTALL: Final = "apt install rclone"
_OLDEST: Final = (1, 56)  # the first whose lsjson tells of a single file
_VERSION: Final = re.compile(r"rclone v(\d+)\.(\d+)")
_VERSION_SECONDS: Final = 60.0
_OWN: Final = Path("~/.config/rclone/rclone.conf")  # where `rclone config` writes unless told otherwise
_BARE: Final = ("PATH", "HOME", "SSL_CERT_FILE", "SSL_CERT_DIR", "https_proxy", "no_proxy")
_TRIES: Final = 4  # of one request; many services answer "too many, later", which costs little
_SILENCES: Final = 2 * _TRIES  # timeouts: all tries of a request, and of the one to sign in before it
_LISTED_BYTES: Final = 256 << 20  # of JSON: a million files
_SLOWEST: Final = 8.0 * 1024  # bytes a second; a target that takes less counts as away
_PIECE_BYTES: Final = 1 << 20
_WORDS_BYTES: Final = 16 << 10
_LAST_LINES: Final = 3

# Documented in rclone's manual ("List of exit codes"). 1 and 2 have changed places (1.69) and say nothing; so which
# trouble it was is told in words only: they choose an error's name, never success.
_MISSING: Final = frozenset({3, 4})
_FATAL: Final = 7
_BY_WORDS: Final[tuple[tuple[str, type[BackupError]], ...]] = (
    (r"find section in config|decrypt configuration|failed to load config|unknown (?:flag|command)", ConfigInvalid),
    (r"insufficient.?(?:storage|space)|quota.?(?:limit.?)?(?:reached|exceeded)\b(?! for quota metric)|no space left|"
     r"over quota|entity too large", TargetFull),
    (r"unauthori[sz]ed|forbidden|not allowed|access.?denied|permission denied|invalid_(?:grant|client)|"
     r"authenticat\w+ fail|login incorrect|signature ?does ?not ?match|invalid ?access ?key", TargetRefused),
)  # fmt: skip
_HINTS: Final[Mapping[type[BackupError], str]] = {
    TargetFull: "; make room or prune old backups",
    TargetRefused: "; are the credentials in its configuration right, and may they do this there?",
}
_STAMP: Final = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d (?:[A-Z]+ *: )?")


@dataclass(frozen=True, slots=True)
class Found:
    """Where rclone lies, and its version as it tells it."""

    path: str
    version: str


@cache
def find_rclone() -> Found:
    """Return the rclone of PATH, asked for its version once a process. Raises ConfigInvalid saying what to install."""
    path = shutil.which("rclone")
    if path is None:
        raise ConfigInvalid(f"targets of kind 'rclone' need the program rclone, which is not on PATH: {INSTALL}")
    try:
        said = subprocess.run(
            [path, "version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            timeout=_VERSION_SECONDS, env=_bare() | {"RCLONE_CONFIG": os.devnull},
        ).stdout  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigInvalid(f"{path} cannot be started: {error}") from error
    match = _VERSION.search(said)
    if match is None or (int(match[1]), int(match[2])) < _OLDEST:
        raise ConfigInvalid(f"{path}: 1.56 or newer is needed, it says {said[:30]!r}")
    return Found(path, said.split()[1])


def _bare() -> dict[str, str]:
    return {name: os.environ[name] for name in _BARE if name in os.environ}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rclone:
    """The program with one configuration. config_password: of an encrypted one; else rclone ends, and asks nobody."""

    program: str
    config: Path
    config_password: str | None = field(repr=False)
    timeout_seconds: float
    bytes_per_second: int | None

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which it is told everything, whether we start it or duplicity does.

        ignore-times: a file of the same name and size is sent anew; where a remote keeps neither times nor sums, it
        would count as the same. use-server-modtime: the target's clock counts, not what a host wrote beside its file.
        """
        seconds = f"{max(1, round(self.timeout_seconds))}s"
        return {
            "RCLONE_CONFIG": str(self.config),
            "RCLONE_ASK_PASSWORD": "false",
            "RCLONE_CONTIMEOUT": seconds,
            "RCLONE_TIMEOUT": seconds,
            "RCLONE_RETRIES": "1",
            "RCLONE_LOW_LEVEL_RETRIES": str(_TRIES),
            "RCLONE_IGNORE_TIMES": "true",
            "RCLONE_USE_SERVER_MODTIME": "true",
            "RCLONE_STATS": "0",
            **({} if self.config_password is None else {"RCLONE_CONFIG_PASS": self.config_password}),
        }

    def ask(self, place: str, *arguments: str) -> str:
        """Run it to its end; return what it wrote. Raises what TROUBLES names, about `place`."""
        return self._run(place, arguments, 2 * self._patience_seconds)

    def send(self, place: str, size_bytes: int, *arguments: str, content: IO[bytes] | None = None) -> None:
        """Run it to its end; it sends so many bytes, no faster than it may, of what is piped to it if anything.

        Raises as `ask` does.
        """
        slowest, limit = _SLOWEST, self.bytes_per_second
        if limit is not None:
            slowest, arguments = min(slowest, limit / 2), (f"--bwlimit={limit}B:off", *arguments)
        self._run(place, arguments, 2 * self._patience_seconds + size_bytes / slowest, content)

    def _run(self, place: str, arguments: tuple[str, ...], limit: float, content: IO[bytes] | None = None) -> str:
        try:
            ended = run(self._program(arguments, content), time_limit_seconds=limit, output_limit_bytes=_LISTED_BYTES)
        except TimedOut as error:
            raise TargetAway(f"{place}: rclone was not done within {limit:.0f} s and was ended") from error
        except OSError as error:
            raise ConfigInvalid(f"{self.program} cannot be started: {error.strerror}") from error
        if ended.exit_code != 0:
            raise explain(ended.exit_code, ended.words, place, self.config)
        if ended.output_was_cut:
            raise TargetAway(f"{place}: more is listed there than {_LISTED_BYTES >> 20} MiB")
        return ended.output

    def stream(self, place: str, *arguments: str) -> Iterator[bytes]:
        """Yield what it writes, in pieces of at most 1 MiB. Raises as `ask` does when its end is not good."""
        with running(self._program(arguments)) as child, selectors.DefaultSelector() as selector:
            words = bytearray()
            for pipe in (child.stdout, child.stderr):
                assert pipe is not None  # noqa: S101 - for the type checker: both are pipes
                selector.register(pipe, selectors.EVENT_READ, pipe is child.stdout)
            heard_at = time.monotonic()
            while selector.get_map():
                demand_going_on()
                for key, _ in selector.select(1.0):
                    piece = os.read(key.fd, _PIECE_BYTES)
                    heard_at = time.monotonic()
                    if not piece:
                        selector.unregister(key.fileobj)
                    elif key.data:
                        yield piece
                        heard_at = time.monotonic()  # whoever takes them may take his time
                    else:
                        words += piece
                        del words[:-_WORDS_BYTES]
                if time.monotonic() - heard_at > self._patience_seconds:
                    raise TargetAway(f"{place}: nothing came for {self._patience_seconds:.0f} s")
            try:
                exit_code = child.wait(self._patience_seconds)
            except subprocess.TimeoutExpired as error:
                raise TargetAway(f"{place}: rclone does not end") from error
        if exit_code != 0:
            raise explain(exit_code, words.decode("utf-8", "replace"), place, self.config)

    @property
    def _patience_seconds(self) -> float:
        """How long it may be silent: it gives up by itself before, unless it hangs."""
        return self.timeout_seconds * _SILENCES + 10

    def _program(self, arguments: tuple[str, ...], content: IO[bytes] | None = None) -> Program:
        return Program(
            arguments=(self.program, *arguments),
            environment=_bare() | self.environment,
            doing="rclone's work",
            stdin=subprocess.DEVNULL if content is None else content,
        )


def explain(exit_code: int, words: str, place: str, config: Path) -> BackupError:
    """Return what it means that rclone did not do what it was asked about a place."""
    if exit_code in _MISSING:
        return ObjectMissing(f"{place} is not there")
    kind = next((named for pattern, named in _BY_WORDS if re.search(pattern, words, re.IGNORECASE)), None)
    kind = kind or (TargetRefused if exit_code == _FATAL else TargetAway)
    lines = [_STAMP.sub("", line).strip() for line in words.splitlines()]
    said = "; ".join(list(dict.fromkeys(filter(None, lines)))[-_LAST_LINES:]) or "nothing"
    hint = _HINTS.get(kind, "")
    if kind is ConfigInvalid:
        is_locked = "decrypt configuration" in words
        hint = f"; it reads {config}" + (": name the file of its password as password_file" if is_locked else "")
    return kind(f"{place}: rclone ended with exit code {exit_code} and says: {said}{hint}")


def read_rclone(settings: TargetSettings) -> Rclone:
    """Return the program as a target's settings want it, the password read. Raises ConfigInvalid."""
    config = (settings.config_file or _OWN.expanduser()).absolute()
    if not config.is_file():
        raise ConfigInvalid(
            f"target {settings.name!r}: there is no configuration of rclone at {config}: make one with"
            f" `rclone --config {config} config`, or name it as config_file"
        )
    return Rclone(
        program=find_rclone().path,
        config=config,
        config_password=None if settings.password_file is None else first_line(settings.password_file),
        timeout_seconds=settings.timeout.total_seconds(),
        bytes_per_second=settings.upload_limit,
    )
