"""duplicity's process: a bounded log, an end at the time limit or at a signal; its exit code is what counts."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from backup.child import Drain, Program, run
from backup.engine.progress import Listener
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
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from backup.engine.command import Call
    from backup.engine.progress import Progress, Told
    from backup.errors import (
        BackupError,
    )

_GPG_FAILED: Final = frozenset({1, 30, 31})  # it has 31 for that, and lets some troubles of gpg escape as others
_KINDS: Final[dict[int, type[BackupError]]] = {
    11: DestinationInUse,
    13: SourceFailed,
    19: NotInBackup,
    21: TargetDiffers,
    22: SignatureBad,
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
_LAST_LINES: Final = 8
_NOISE: Final = re.compile(r"$|\^+$|File \"|=====|Traceback|Duplicity backup complete|DEBUG: ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How duplicity ended: its exit code, its last words (bounded), what else it told, its output (bounded)."""

    exit_code: int
    log: str
    output: str
    told: Told
    output_was_cut: bool = False


def run_call(
    call: Call,
    *,
    doing: str = "duplicity's work",
    time_limit_seconds: float,
    on_progress: Callable[[Progress], None] | None = None,
    output_limit_bytes: int = 1 << 20,
) -> Outcome:
    """Run duplicity to its end. Raises TimedOut, Cancelled; then every process of its group has ended.

    An exit code other than 0 is not an error here: `demand_success` turns it into one.
    """
    listener = Listener()

    def listen(piece: bytes) -> None:
        for progress in listener.feed(piece):
            if on_progress is not None:
                on_progress(progress)

    reading, writing = os.pipe()
    is_open = True

    def close_ours() -> None:
        nonlocal is_open
        os.close(writing)
        is_open = False

    try:
        program, script, *rest = call.arguments
        ended = run(
            Program(
                arguments=(program, script, rest[0], f"--log-fd={writing}", *rest[1:]),
                environment=call.environment,
                doing=doing,
                pass_fds=(writing,),
            ),
            time_limit_seconds=time_limit_seconds,
            output_limit_bytes=output_limit_bytes,
            more={reading: Drain(listen)},
            started=close_ours,
        )
    except OSError as error:
        raise EngineFailed(f"{doing}: duplicity cannot be started: {error.strerror}") from error
    finally:
        os.close(reading)
        if is_open:
            os.close(writing)
    listen(b"\n")
    log = "\n".join(listener.told.words) or ended.words
    return Outcome(
        exit_code=ended.exit_code,
        log=log,
        output=ended.output,
        told=listener.told,
        output_was_cut=ended.output_was_cut,
    )


def demand_success(outcome: Outcome, doing: str) -> None:
    """Return when the exit code is 0. Raises KeyWrong, PassphraseWrong, TargetAway … or EngineFailed otherwise."""
    if outcome.exit_code == 0:
        return
    kind: type[BackupError] = _KINDS.get(outcome.exit_code, EngineFailed)
    if outcome.exit_code in _GPG_FAILED:
        words = outcome.log.lower()
        kind = next((named for phrase, named in _GPG_WORDS if phrase in words), EngineFailed)
    lines = [line.strip() for line in outcome.log.splitlines()]
    told = list(dict.fromkeys(line for line in lines if not _NOISE.match(line)))  # what it tried again it says again
    said = "; ".join(told[-_LAST_LINES:])
    raise kind(f"{doing}: duplicity ended with exit code {outcome.exit_code}: {said or 'without a word'}")
