"""What can go wrong with a backup: each error has its own exit code, so that scripts need not read words.

The codes are part of the command's contract (docs/backup.md has the table; a test keeps it true). A number once given
never changes its meaning. 0 is success, 1 a defect of ours, 2 wrong usage (click's), 130 and 143 a signal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Iterable


class BackupError(Exception):
    """Base of every error here. The text says what happened and what to do; it holds no secret."""

    exit_code: ClassVar[int] = 1
    meaning: ClassVar[str] = "a defect of Watchkeep; the text says where"


class ConfigInvalid(BackupError):
    """backup.toml cannot be used, or names something that is not there."""

    exit_code = 3
    meaning = "the configuration cannot be used, or names a set or target that is not in it"


class KeyMissing(BackupError):
    """A key this machine needs is not in its key folder."""

    exit_code = 10
    meaning = "a key is missing"


class KeyExpired(BackupError):
    """A key is past its expiry date."""

    exit_code = 11
    meaning = "a key has expired"


class PassphraseMissing(BackupError):
    """The passphrase file is missing, empty or readable by others."""

    exit_code = 12
    meaning = "the passphrase file is missing, empty or open to others"


class PassphraseWrong(BackupError):
    """The passphrase does not open the key."""

    exit_code = 13
    meaning = "the passphrase does not open the key"


class KeyWrong(BackupError):
    """What was encrypted was encrypted to another key than ours."""

    exit_code = 14
    meaning = "the backup is encrypted to another key than the one here"


class SignatureBad(BackupError):
    """Something is not signed, or not by a key that is trusted for its host, or was changed afterwards."""

    exit_code = 15
    meaning = "a signature is missing, damaged or of a stranger"


class SignerUnknown(SignatureBad):
    """Something is signed by a key that is not in this machine's key folder: a stranger's, or a newer one of a host."""


class KeyBusy(BackupError):
    """There is a key already, or the key folder cannot be made or used."""

    exit_code = 16
    meaning = "a key is there already, or the key folder cannot be used"


class KeyForbidden(BackupError):
    """A secret key was offered to a machine that must not hold it."""

    exit_code = 17
    meaning = "a secret key was offered to a machine that must never hold it"


class KeyNeeded(BackupError):
    """A key cannot go: restore points need it, or it is in use."""

    exit_code = 18
    meaning = "a key is still needed by restore points, or in use"


class TargetAway(BackupError):
    """The target does not answer, or answers with a fault of its own: trying again later may help."""

    exit_code = 20
    meaning = "the target cannot be reached or has a fault of its own; trying again may help"


class TargetRefused(BackupError):
    """The target does not let us in, or does not let us do this."""

    exit_code = 21
    meaning = "the target refuses our credentials or rights"


class TargetFull(BackupError):
    """The target has no room left."""

    exit_code = 22
    meaning = "the target is full or over its quota"


class ObjectMissing(BackupError):
    """A file that has to be at the target is not."""

    exit_code = 23
    meaning = "a file is missing at the target"


class TargetDiffers(BackupError):
    """What lies at the target is not what was sent there."""

    exit_code = 24
    meaning = "a file at the target differs from what was sent"


class SourceFailed(BackupError):
    """What has to be saved cannot be read or made ready."""

    exit_code = 30
    meaning = "the source cannot be read or made ready"


class EngineFailed(BackupError):
    """duplicity ended with an exit code other than 0 that has no better name here."""

    exit_code = 40
    meaning = "duplicity failed; its exit code is in the text"


class TimedOut(BackupError):
    """The time limit passed; everything that ran was ended."""

    exit_code = 41
    meaning = "the time limit passed"


class SetBusy(BackupError):
    """Another run or restore of the same set is under way on this machine."""

    exit_code = 42
    meaning = "another run of this set is under way"


class RunKilled(BackupError):
    """The run of this id was ended from outside before it was done; it counts for nothing."""

    exit_code = 43
    meaning = "the run asked for was killed before it was done and counts for nothing"


class WorkFailed(BackupError):
    """The disk of the machine itself is in the way: the work folder is full or cannot be written."""

    exit_code = 44
    meaning = "this machine's work folder is full or cannot be written"


class NoRun(BackupError):
    """There is no run to cancel."""

    exit_code = 45
    meaning = "no run of this set is under way on this machine"


class NoRestorePoint(BackupError):
    """There is no restore point that answers what was asked."""

    exit_code = 50
    meaning = "there is no such restore point"


class NotInBackup(BackupError):
    """The path asked for is not in the restore point."""

    exit_code = 51
    meaning = "the path is not in this restore point"


class DestinationInUse(BackupError):
    """The place to restore to is there already, or cannot be written."""

    exit_code = 52
    meaning = "the place to restore to is in use or cannot be written"


class BackupDamaged(BackupError):
    """A verification found damage."""

    exit_code = 53
    meaning = "verification found damage"


class DrillFailed(BackupError):
    """A drill did not prove its restore point: it differs, does not come up, or could not be checked."""

    exit_code = 54
    meaning = "a drill did not prove the restore point; the text says why"


class PointAmbiguous(BackupError):
    """What was said of a restore point fits several."""

    exit_code = 56
    meaning = "the time given fits several restore points, which are named"


class HoldIncomplete(BackupError):
    """A hold was set, but not at every target of its set."""

    exit_code = 57
    meaning = "a hold was set, but some targets of its set lack it; they are named"


class PointRefused(BackupError):
    """What is newer than the restore point that would be taken does not count: taking it has to be said."""

    exit_code = 58
    meaning = "restore points newer than the one that would be taken cannot be used; they are named, and --at takes it"


class Cancelled(BackupError):
    """SIGINT, SIGTERM or SIGHUP came; what was half done counts for nothing. is_asked_for: a person wanted it."""

    exit_code = 130
    meaning = "ended by a signal; what was half done counts for nothing"

    def __init__(self, text: str, *, is_asked_for: bool = False) -> None:
        super().__init__(text)
        self.is_asked_for = is_asked_for


_SAYS_BAD: Final = frozenset(each.exit_code for each in (BackupDamaged, DrillFailed, ObjectMissing, TargetDiffers))
_MAY_PASS: Final = frozenset(each.exit_code for each in (SetBusy, TargetAway))


def worst(codes: Iterable[int]) -> int:
    """Return the exit code of a command that went on after some of its sets failed; 0 when none did.

    What says that a backup is not good comes before all else, what may pass by itself after all else; of equals the
    first.
    """
    return min((each for each in codes if each), key=lambda each: (each not in _SAYS_BAD, each in _MAY_PASS), default=0)


class Overdue(Cancelled):
    """The time limit of the whole passed; what was half done counts for nothing."""

    exit_code = TimedOut.exit_code
    meaning = TimedOut.meaning


def why(error: Exception) -> str:
    """Return what is wrong with a file that is named beside: an OSError's text has number and path once more."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def unnamed(target: str, error: object) -> str:
    """Return what is wrong with a target that is named beside, without its name."""
    return str(error).removeprefix(f"target {target!r}: ").replace(f" of target {target!r}", "", 1)


def exit_codes() -> dict[int, str]:
    """Return every exit code of `bkp` with its meaning, ascending."""
    found = {0: "done", 1: BackupError.meaning, 2: "wrong usage of the command"}
    todo: list[type[BackupError]] = [BackupError]
    while todo:
        kind = todo.pop()
        if "exit_code" in kind.__dict__:
            found.setdefault(kind.exit_code, kind.meaning)
        todo += kind.__subclasses__()
    return dict(sorted(found.items()))
