"""The sets a command goes through although targets are away: those that answer are read, the others named once.

How such a command ends is the same everywhere: what it was to find out comes first (damage, a drill that failed), then
the worst exit code of what could not be read.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import click

from backup.catalogue import sets_at
from backup.command.options import set_of
from backup.command.several import end_with_worst, sets_named
from backup.errors import ConfigInvalid, KeyMissing, unnamed
from backup.settings.backup_set import SetSettings
from backup.station.station import UNREACHED, open_station
from backup.targets.registry import open_target

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from backup.errors import BackupError
    from backup.settings.document import BackupSettings
    from backup.settings.target import TargetSettings
    from backup.station.station import Station

UNREAD: Final = (KeyMissing, *UNREACHED)
"""What is noted of one set, while the others are gone through."""


@dataclass(slots=True, kw_only=True)
class Reach:
    """Sets, and what could not be read. away: why, by a target's name; unread: why, by HOST/SET or what else.

    left_behind: sets of the configuration at further targets, where they were before.
    """

    settings: BackupSettings
    sets: list[SetSettings]
    away: dict[str, BackupError] = field(default_factory=dict)
    unread: dict[str, BackupError] = field(default_factory=dict)
    left_behind: list[SetSettings] = field(default_factory=list)

    @contextmanager
    def open(self, chosen: SetSettings) -> Iterator[Station]:
        """Open a set for reading at those of its targets that answered; the others are not asked again.

        Raises what its first target raised when none of them did, and what `open_station` raises.
        """
        there = [name for name in chosen.targets if name not in self.away]
        if not there:
            raise self.away[chosen.target]
        with open_station(self.settings, replace(chosen, target=there[0], also=tuple(there[1:]))) as station:
            yield station

    def copies(self) -> list[SetSettings]:
        """Return each set at each of its targets that answered, as if that were its only one."""
        return [each.at_target(name) for each in self.sets for name in each.targets if name not in self.away]

    @property
    def has_copies(self) -> bool:
        """Whether any set lies at several targets."""
        return any(each.also for each in self.sets)

    def label(self, chosen: SetSettings) -> str:
        """Return HOST/SET."""
        return f"{self.settings.host_of(chosen)}/{chosen.name}"

    def is_away(self, chosen: SetSettings) -> bool:
        """Tell whether none of a set's targets answered: it is named with them."""
        return self.away.keys() >= set(chosen.targets)

    def note(self, label: str, error: BackupError) -> None:
        """Note why something could not be read; what is only at targets that are away is named with them."""
        if not any(error is known for known in self.away.values()):
            self.unread[label] = error

    def demand_any(self) -> None:
        """Return when a target answered, or none was asked. Raises what the first raised, naming all of several."""
        if not self.away or len(self.away) < len(self.settings.targets):
            return
        first, *others = self.away.values()
        if not others:
            raise first
        told = "; ".join(f"{name}: {unnamed(name, error)}" for name, error in self.away.items())
        raise type(first)(f"none of the targets can be read: {told}")

    @property
    def first(self) -> BackupError | None:
        """What stood in the way first; None when everything was read."""
        return next(iter((*self.away.values(), *self.unread.values())), None)

    def documents(self) -> list[dict[str, Any]]:
        """Return for programs what could not be read: a target by its name, or a set (or one of its copies)."""
        found = [(name, None, error) for name, error in self.away.items()]
        return [
            {"target": target, "set": label, "error": str(error), "exit_code": error.exit_code}
            for target, label, error in (*found, *((None, label, error) for label, error in self.unread.items()))
        ]

    def tell(self) -> None:
        """Name on standard error each target that is away, with the sets that are only there, and what else failed."""
        for name, error in self.away.items():
            lost = [self.label(each) for each in self.sets if each.target == name and self.is_away(each)]
            left_out = f", nor {', '.join(lost)}" if lost else ""
            click.echo(f"bkp: target {name!r} cannot be read{left_out}: {unnamed(name, error)}", err=True)
        for label, error in self.unread.items():
            click.echo(f"bkp: {label} cannot be read: {error}", err=True)

    def end(self) -> None:
        """Return when everything was read; else end the process with the worst exit code of what was not."""
        end_with_worst(self.codes())

    def codes(self) -> list[int]:
        """Return the exit codes of what could not be read."""
        return [error.exit_code for error in (*self.away.values(), *self.unread.values())]


def all_sets(settings: BackupSettings) -> Reach:
    """Return the sets of the configuration, and those of any host that lie at its targets, at one or at several.

    Targets that are away or refuse are noted, all of them if need be.
    """
    reach = Reach(settings=settings, sets=[])
    found = {(settings.host_of(each), each.name): each for each in settings.sets}
    configured = set(found)
    for target in settings.targets:
        try:
            there = _sets_at(target)
        except UNREACHED as error:
            reach.away[target.name] = error
            continue
        for key in there:
            if key not in found:
                host, name = key
                found[key] = SetSettings(name=name, host=host, target=target.name)
            elif key not in configured:
                found[key] = replace(found[key], also=(*found[key].also, target.name))
            elif target.name not in found[key].targets:
                reach.left_behind.append(replace(found[key], target=target.name, also=()))
    reach.sets = [found[key] for key in sorted(found)]
    return reach


def chosen_sets(settings: BackupSettings, names: Sequence[str] = ()) -> Reach:
    """Return the sets that are named, or all when none is. Raises ConfigInvalid; what targets do when none answers."""
    if names:
        return Reach(settings=settings, sets=sets_named(settings, names))
    reach = all_sets(settings)
    reach.demand_any()
    return reach


def set_at_all_targets(settings: BackupSettings, name: str) -> SetSettings:
    """Return the set called SET or HOST/SET; one that is not configured at each target it lies at.

    A target that is away counts as one of these: it may lie there, too. Raises ConfigInvalid, and what the first target
    raised when none answers.
    """
    is_configured = any(f"{settings.host_of(each)}/{each.name}" == name for each in settings.sets)
    if "/" not in name or is_configured or len(settings.targets) < 2:
        return set_of(settings, name)
    reach = all_sets(settings)
    reach.demand_any()
    found = next((each for each in reach.sets if reach.label(each) == name), None)
    if found is None:
        there = ", ".join(reach.label(each) for each in reach.sets) or "none"
        raise ConfigInvalid(f"there is nothing of {name} at any target that answers. Sets there are: {there}")
    return replace(found, also=(*found.also, *reach.away))


def _sets_at(target: TargetSettings) -> list[tuple[str, str]]:
    with open_target(target) as opened:
        return sets_at(opened)
