"""Legal holds: what must not be deleted, whatever retention says.

A hold is a small object at the target, `HOST/SET/holds/NAME.json`: it travels with the backups, and whoever may write
there may set one, since it only makes more stay. Only a pruner lifts one: it keeps a register of every hold it has seen
and goes by that too, so that a hold that vanished at the target, or was changed there, still holds and is told.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC
from typing import TYPE_CHECKING, Final

from backup.errors import ConfigInvalid, WorkFailed
from backup.model import instant_name, read_instant
from backup.saving.journal import write_durably
from backup.settings.checks import check_name
from backup.targets.small import parse_instant, parse_table, plain_text, read_start

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from backup.model import Place
    from backup.targets.contract import DeletingTarget, Target

_FORM: Final = "watchkeep-hold-1"
_ENDING: Final = ".json"


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
        return f"{self.name} ({self.reason})" if self.reason else self.name


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


def read_holds(target: Target, place: Place, register: HoldRegister | None) -> list[Hold]:
    """Return every hold on a set: those at the target and, at a pruner, those it has seen before, which it notes.

    One that cannot be understood holds the whole set. Raises what the target and the register raise.
    """
    folder = holds_folder(place)
    there = {
        name.removesuffix(_ENDING): read_hold(name.removesuffix(_ENDING), read_start(target, f"{folder}/{name}"))
        for name in sorted(target.files(folder))
    }
    if register is None:
        return list(there.values())
    known = register.known(place)
    found: list[Hold] = []
    for name in sorted(there.keys() | known.keys()):
        at_target, noted = there.get(name), known.get(name)
        if noted is None and at_target is not None:
            if check_name(name) is None and not at_target.trouble:
                register.note(place, at_target)
            found.append(at_target)
        elif noted is not None and at_target is None:
            found.append(_troubled(noted, "it is gone from the target and still holds: lift it with bkp hold remove"))
        elif noted is not None and at_target is not None:
            found.append(noted)
            if at_target != noted:
                found.append(_troubled(at_target, "it was changed at the target; as it was set it still holds"))
    return found


def add_hold(target: Target, place: Place, hold: Hold, register: HoldRegister | None) -> None:
    """Set a hold: at a pruner in its register first. Raises ConfigInvalid when the name is taken or is none."""
    wrong = check_name(hold.name)
    if wrong:
        raise ConfigInvalid(f"a hold's name: {wrong}")
    if any(each.name == hold.name for each in read_holds(target, place, register)):
        raise ConfigInvalid(f"there is a hold {hold.name!r} on {place.host}/{place.set} already: choose another name")
    if register is not None:
        register.note(place, hold)
    write_hold(target, place, hold)


def write_hold(target: Target, place: Place, hold: Hold) -> None:
    """Put a hold at a target: at each further one of a set that has several."""
    target.write(f"{holds_folder(place)}/{hold.name}{_ENDING}", hold_text(hold).encode())


def remove_hold(target: DeletingTarget, place: Place, name: str) -> None:
    """Take a hold from one of several targets; what a pruner's register has still holds."""
    target.delete(f"{holds_folder(place)}/{name}{_ENDING}")


def lift_hold(target: DeletingTarget, place: Place, name: str, register: HoldRegister) -> None:
    """Take a hold away, at the target first: what is half lifted still holds. Raises ConfigInvalid: there is none."""
    if name not in {each.name for each in read_holds(target, place, register)}:
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
        trouble = f"it cannot be understood ({error}), so everything of this set stays"
        return Hold(name=name, chain=None, reason="", by="", trouble=trouble)


def _troubled(hold: Hold, trouble: str) -> Hold:
    return replace(hold, trouble=hold.trouble or trouble)


def demand_pruner(register: HoldRegister | None) -> HoldRegister:
    """Return the register. Raises ConfigInvalid where there is none: only a pruner lifts a hold."""
    if register is None:
        raise ConfigInvalid("only a pruner lifts a hold: use its configuration (one with [pruner])")
    return register
