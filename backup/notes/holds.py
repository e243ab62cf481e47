"""Legal holds: what must not be deleted, whatever retention says.

A hold is a small object at the target, `HOST/SET/holds/NAME.json`: it travels with the backups, and whoever may write
there may set one, since it only makes more stay. Only a pruner lifts one: it keeps a register of every hold it has seen
and goes by that too, so that a hold that vanished at the target, or was changed there, still holds and is told.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from backup.errors import (
    ConfigInvalid,
    ObjectMissing,
    TargetAway,
    TargetDiffers,
    TargetFull,
    TargetRefused,
    WorkFailed,
)
from backup.model import instant_name, read_instant
from backup.runtime.durable import write_durably
from backup.settings.checks import check_name
from backup.spelling import shown
from backup.targets.small import parse_instant, parse_table, plain_text, read_start

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from backup.errors import BackupError
    from backup.model import Place
    from backup.targets.contract import DeletingTarget, Target

_FORM: Final = "watchkeep-hold-1"
_ENDING: Final = ".json"
_CHANGED: Final = "it was changed at a target; as it was set it still holds"
_ANOTHER: Final = "it is another one at a further target; both hold"
_NOT_TAKEN: Final = (TargetAway, TargetRefused, TargetFull, TargetDiffers, ObjectMissing)
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A hold on a chain, or on the whole set (chain None). until: when it ends by itself; None: when it is lifted.

    trouble: what a person has to know of it, empty when all is well.
    """

    name: str
    chain: str | None
    reason: str
    by: str
    set_at: datetime | None = None
    until: datetime | None = None
    trouble: str = ""

    def holds(self, chain: str, now: datetime) -> bool:
        """Whether it keeps a chain from being deleted now."""
        return self.chain in (None, chain) and (self.until is None or now <= self.until)

    @property
    def said(self) -> str:
        """How a verdict names it."""
        return f"{shown(self.name)} ({self.reason})" if self.reason else shown(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedHold:
    """A hold that was set, and the targets of its set that lack it, with the reason."""

    hold: Hold
    lacking: Mapping[str, BackupError]


class HoldRegister:
    """The holds a pruner knows of, in its work folder."""

    def __init__(self, work: Path) -> None:
        self._folder = work / "holds"

    def known(self, place: Place) -> dict[str, Hold]:
        """Return the holds of a set by name. Raises WorkFailed: what cannot be read might hold."""
        folder = self._folder / place.host / place.set
        try:
            files = sorted(folder.glob(f"*{_ENDING}"))
            return {file.stem: read_hold(file.stem, file.read_bytes()) for file in files}
        except OSError as error:
            raise WorkFailed(f"the register of holds {folder} cannot be read: {error.strerror}") from error

    def note(self, place: Place, hold: Hold) -> None:
        """Put a hold. Raises WorkFailed."""
        folder = self._folder / place.host / place.set
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_durably(folder / f"{hold.name}{_ENDING}", hold_text(hold))
        except OSError as error:
            raise WorkFailed(f"the register of holds {folder} cannot be written: {error.strerror}") from error

    def strike(self, place: Place, name: str) -> bool:
        """Take a hold out; return whether it was there. Raises WorkFailed."""
        file = self._folder / place.host / place.set / f"{name}{_ENDING}"
        try:
            is_there = file.exists()
            file.unlink(missing_ok=True)
        except OSError as error:
            raise WorkFailed(f"{file} cannot be removed: {error.strerror}") from error
        return is_there


def holds_folder(place: Place) -> str:
    """Return where the holds of a set lie at its target."""
    return f"{place.host}/{place.set}/holds"


def read_holds(targets: Sequence[Target], place: Place, register: HoldRegister | None) -> list[Hold]:
    """Return every hold on a set: those at any of its targets and, at a pruner, those it has seen, which it notes.

    A hold that one of them lacks holds there, too, and says where it is missing. One that cannot be understood holds
    the whole set. Raises what targets and register raise.
    """
    there = {target.name: _holds_at(target, place) for target in targets}
    known = {} if register is None else register.known(place)
    found: list[Hold] = []
    for name in sorted({*known, *(name for each in there.values() for name in each)}):
        as_set = [known[name]] if name in known else []
        first, *others = dict.fromkeys([*as_set, *(each[name] for each in there.values() if name in each)])
        if register is not None and not as_set and check_name(name) is None and not first.trouble:
            register.note(place, first)
        found.append(
            _troubled(first, _said_missing([at for at, each in there.items() if name not in each], len(there)))
        )
        found += [_troubled(each, _CHANGED if as_set else _ANOTHER) for each in others]
    return found


def _holds_at(target: Target, place: Place) -> dict[str, Hold]:
    folder = holds_folder(place)
    found: dict[str, Hold] = {}
    for file in sorted(target.files(folder)):
        name = file.removesuffix(_ENDING)
        found[name] = read_hold(name, read_start(target, f"{folder}/{file}")) if name != file else _unknown(file)
    return found


def _said_missing(missing: Sequence[str], count: int) -> str:
    if missing and len(missing) == count:
        return "it is gone from the target and still holds: lift it with bkp hold remove"
    return f"it is missing at {', '.join(missing)}: bkp hold add with its name sets it there, too" if missing else ""


def add_hold(targets: Sequence[Target], place: Place, hold: Hold, register: HoldRegister | None) -> AddedHold:
    """Set a hold at every target of a set that takes it: at a pruner in its register first.

    The same hold, set before at some of them, is completed. Raises ConfigInvalid when the name is another's or is none,
    what the first target raised when none took it.
    """
    wrong = check_name(hold.name)
    if wrong:
        raise ConfigInvalid(f"a hold's name: {wrong}")
    lacking: dict[str, BackupError] = {}
    there: dict[str, list[Hold]] = {}
    for target in targets:
        try:
            there[target.name] = [each for each in read_holds([target], place, None) if each.name == hold.name]
        except _NOT_TAKEN as error:
            lacking[target.name] = error
    before = {each for holds in there.values() for each in holds}
    before |= {each for each in read_holds([], place, register) if each.name == hold.name}
    if any(not _is_same(each, hold) for each in before) or (not lacking and all(there.values())):
        raise ConfigInvalid(f"there is a hold {hold.name!r} on {place.host}/{place.set} already: choose another name")
    hold = min(before, key=lambda each: each.set_at or _NEVER, default=hold)
    if register is not None:
        register.note(place, hold)
    for target in targets:
        if not there.get(target.name, True):
            try:
                target.write(f"{holds_folder(place)}/{hold.name}{_ENDING}", hold_text(hold).encode())
            except _NOT_TAKEN as error:
                lacking[target.name] = error
    if len(lacking) == len(targets):
        raise next(iter(lacking.values()))
    return AddedHold(hold=hold, lacking=lacking)


def _is_same(one: Hold, other: Hold) -> bool:
    return not one.trouble and (one.chain, one.reason, one.until) == (other.chain, other.reason, other.until)


def remove_hold(target: DeletingTarget, place: Place, name: str) -> None:
    """Take a hold from one of several targets; what a pruner's register has still holds."""
    target.delete(f"{holds_folder(place)}/{name}{_ENDING}")


def lift_hold(target: DeletingTarget, place: Place, name: str, register: HoldRegister) -> None:
    """Take a hold away, at the target first: what is half lifted still holds. Raises ConfigInvalid: there is none."""
    if name not in {each.name for each in read_holds([target], place, register)}:
        raise ConfigInvalid(f"there is no hold {name!r} on {place.host}/{place.set}: bkp hold list shows them")
    remove_hold(target, place, name)
    register.strike(place, name)


def hold_text(hold: Hold) -> str:
    """Return a hold as JSON."""
    table = {
        "form": _FORM,
        "chain": hold.chain,
        "reason": hold.reason,
        "by": hold.by,
        "set_at": None if hold.set_at is None else hold.set_at.astimezone(UTC).isoformat(),
        "until": None if hold.until is None else hold.until.astimezone(UTC).isoformat(),
    }
    return json.dumps(table, indent=1) + "\n"


def read_hold(name: str, content: bytes) -> Hold:
    """Return the hold of a text; one that cannot be understood holds everything and says so."""
    try:
        table = parse_table(content, _FORM)
        return Hold(
            name=name,
            chain=None if table["chain"] is None else instant_name(read_instant(table["chain"])),
            reason=plain_text(table["reason"]),
            by=plain_text(table["by"]),
            set_at=None if table["set_at"] is None else parse_instant(table["set_at"]),
            until=None if table["until"] is None else parse_instant(table["until"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        return _unclear(name, f"it cannot be understood ({error})")


def _unknown(file: str) -> Hold:
    return _unclear(file, f"it may be no hold, as its name lacks {_ENDING}: look at it, and remove it by hand")


def _unclear(name: str, why: str) -> Hold:
    return Hold(name=name, chain=None, reason="", by="", trouble=f"{why}; everything of this set stays")


def _troubled(hold: Hold, trouble: str) -> Hold:
    return replace(hold, trouble=hold.trouble or trouble)


def demand_pruner(register: HoldRegister | None) -> HoldRegister:
    """Return the register. Raises ConfigInvalid where there is none: only a pruner lifts a hold."""
    if register is None:
        raise ConfigInvalid("only a pruner lifts a hold: use its configuration (one with [pruner])")
    return register
