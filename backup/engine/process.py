"""duplicity's process: a bounded log, an end at the time limit or at a signal; its exit code is what counts."""

from __future__ import annotations

import os
import re
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

from backup.engine.progress import Listener, Together
from backup.errors import (
    DestinationInUse,
    EngineFailed,
    KeyExpired,
    KeyWrong,
    NotInBackup,
    ObjectMissing,
    PassphraseWrong,
    SignatureBad,
    SourceFailed,
    TargetAway,
    TargetDiffers,
    TargetFull,
    TargetRefused,
    WorkFailed,
)
from backup.runtime.child import Drain, Program, Task, run_together

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from backup.engine.command import Call
    from backup.engine.progress import Progress, Told
    from backup.errors import BackupError
    from backup.runtime.child import Ended

_GPG_FAILED: Final = frozenset({1, 30, 31})  # it has 31 for that, and lets some troubles of gpg escape as others
_KINDS: Final[dict[int, type[BackupError]]] = {
    11: DestinationInUse,
    13: SourceFailed,
    19: NotInBackup,
    21: TargetDiffers,
    22: SignatureBad,
    34: WorkFailed,
    35: WorkFailed,
    38: TargetAway,
    44: TargetDiffers,
    50: TargetAway,
    51: TargetRefused,
    52: ObjectMissing,
    53: TargetFull,
    56: TargetDiffers,
    80: KeyWrong,
    81: KeyWrong,
}
# Which of gpg's troubles made duplicity end with 31 it tells in words only; they choose a name, never success.
_GPG_WORDS: Final[tuple[tuple[str, type[BackupError]], ...]] = (
    ("bad passphrase", PassphraseWrong),
    ("no secret key", KeyWrong),
    ("expired", KeyExpired),
    ("unusable public key", KeyWrong),
    ("bad signature", SignatureBad),
)
_BACKEND_FAILED: Final = 50  # a target without a code of its own for it, whatever was in the way
_FULL_WORDS: Final = (
    "no space left on device", "disk quota exceeded", "request entity too large", "insufficient storage",
    "storagequotaexceeded", "quotalimitreached", "insufficient_space",  # as three services say it to rclone
)  # fmt: skip
_LAST_LINES: Final = 8
_NOISE: Final = re.compile(r"$|\^+$|File \"|=====|Traceback|Duplicity backup complete|DEBUG: ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How duplicity ended: its exit code, its last words (bounded), what else it told, its output (bounded).

    number: which of several calls it was, from 0.
    """

    exit_code: int
    log: str
    output: str
    told: Told
    output_was_cut: bool = False
    number: int = 0


def run_calls(  # noqa: PLR0913 - all but the calls have a name and a default
    calls: Sequence[Call],
    *,
    doing: str,
    time_limit_seconds: float,
    on_progress: Callable[[Progress], None] | None = None,
    output_limit_bytes: int = 1 << 20,
    also_good: Collection[int] = (),
    watch: Callable[[int], bool] | None = None,
) -> list[Outcome]:
    """Run duplicities side by side to their ends; return how each ended, in the calls' order.

    When one ends with an exit code that is neither 0 nor in `also_good`, the others are ended at once, and the outcome
    of that one is all that is returned. `watch` is called with each one's process group about every second without
    output; one that it is True of is killed. Raises TimedOut, Cancelled; then every process of their groups has ended.
    """
    together = Together(len(calls))
    with ExitStack() as stack:
        logs = [stack.enter_context(closing(_LogPipe(number, together, on_progress))) for number in range(len(calls))]
        try:
            found = run_together(
                [
                    _task(call, log, doing, output_limit_bytes, frozenset({0, *also_good}), watch)
                    for call, log in zip(calls, logs, strict=True)
                ],
                time_limit_seconds=time_limit_seconds,
            )
        except OSError as error:
            raise EngineFailed(f"{doing}: duplicity cannot be started: {error.strerror}") from error
    ended = [
        _outcome(each, log, number)
        for number, (each, log) in enumerate(zip(found, logs, strict=True))
        if each is not None
    ]
    if len(ended) < len(calls):
        return [each for each in ended if each.exit_code not in (0, *also_good)][:1]
    return ended


class _LogPipe:
    """The pipe one duplicity tells its log through."""

    def __init__(self, number: int, together: Together, on_progress: Callable[[Progress], None] | None) -> None:
        self.listener = Listener()
        self._number, self._together, self._on_progress = number, together, on_progress
        self.reading, self.writing = os.pipe()
        self._is_open = True

    def listen(self, piece: bytes) -> None:
        """Take what it told."""
        for progress in self.listener.feed(piece):
            if self._on_progress is not None:
                self._on_progress(self._together.take(self._number, progress))

    def close_ours(self) -> None:
        """Close our copy of its end, so that the pipe ends with the program."""
        os.close(self.writing)
        self._is_open = False

    def close(self) -> None:
        """Close what is open."""
        os.close(self.reading)
        if self._is_open:
            self.close_ours()


def _task(
    call: Call,
    log: _LogPipe,
    doing: str,
    output_limit_bytes: int,
    good: frozenset[int],
    watch: Callable[[int], bool] | None,
) -> Task:
    program, script, *rest = call.arguments

    def started() -> None:
        log.close_ours()
        if call.started is not None:
            call.started()

    return Task(
        program=Program(
            arguments=(program, script, rest[0], f"--log-fd={log.writing}", *rest[1:]),
            environment=call.environment,
            doing=doing,
            pass_fds=(log.writing,),
            namespace=call.namespace,
            reads_all=call.reads_all,
        ),
        output_limit_bytes=output_limit_bytes,
        more={log.reading: Drain(log.listen)},
        started=started,
        good=good,
        watch=watch,
    )


def _outcome(ended: Ended, log: _LogPipe, number: int) -> Outcome:
    log.listen(b"\n")
    told = log.listener.told
    return Outcome(
        exit_code=ended.exit_code,
        log="\n".join(told.words) or ended.words,
        output=ended.output,
        told=told,
        output_was_cut=ended.output_was_cut,
        number=number,
    )


def demand_success(outcome: Outcome, doing: str) -> None:
    """Return when the exit code is 0. Raises KeyWrong, PassphraseWrong, TargetAway … or EngineFailed otherwise."""
    if outcome.exit_code != 0:
        _raise(WorkFailed if _says_full(outcome) else _kind(outcome), outcome, doing)


def demand_sent(outcome: Outcome, doing: str) -> None:
    """Do the same for a duplicity that sends: what is full may be the target then. Raises TargetFull, too."""
    if outcome.exit_code == _BACKEND_FAILED and _says_full(outcome):
        _raise(TargetFull, outcome, f"{doing}: the target is full, make room or prune old backups")
    demand_success(outcome, doing)


def _kind(outcome: Outcome) -> type[BackupError]:
    if outcome.exit_code in _GPG_FAILED:
        words = outcome.log.lower()
        return next((named for phrase, named in _GPG_WORDS if phrase in words), EngineFailed)
    return _KINDS.get(outcome.exit_code, EngineFailed)


def _says_full(outcome: Outcome) -> bool:
    """Whether it failed since something is full, which it tells in words only, as above."""
    words = outcome.log.lower()
    return any(phrase in words for phrase in _FULL_WORDS)


def _raise(kind: type[BackupError], outcome: Outcome, doing: str) -> NoReturn:
    lines = [line.strip() for line in outcome.log.splitlines()]
    told = list(dict.fromkeys(line for line in lines if not _NOISE.match(line)))  # what it tried again it says again
    said = "; ".join(told[-_LAST_LINES:])
    raise kind(f"{doing}: duplicity ended with exit code {outcome.exit_code}: {said or 'without a word'}")
