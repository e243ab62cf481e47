"""What a shell is offered for a set's name and for --at: read from configuration and target, at most a few seconds."""

from __future__ import annotations

import dataclasses
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from click.shell_completion import CompletionItem

from backup.catalogue import MANIFEST_ENDING
from backup.command.given_target import Given
from backup.command.options import set_of, settings_for_reading
from backup.command.reach import all_sets
from backup.command.telling import local
from backup.errors import BackupError
from backup.model import Place, read_instant
from backup.targets.registry import open_target

if TYPE_CHECKING:
    import click

    from backup.settings.document import BackupSettings

_PATIENCE: Final = timedelta(seconds=2)
_MOST: Final = 50


def complete_sets(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the sets of the configuration, and those of any host at the targets that answer."""
    try:
        settings = _settings(context)
        known = _configured(settings)
        reach = all_sets(settings)
        known |= {reach.label(each) for each in reach.sets if not settings.has_set(each)}
    except (BackupError, OSError):
        return []
    return _offered(context, known, incomplete)


def complete_own_sets(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the sets of the configuration; asks no target."""
    try:
        known = _configured(_settings(context))
    except (BackupError, OSError):
        return []
    return _offered(context, known, incomplete)


def complete_points(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the newest restore points of the set that was named before, each with its local time."""
    # Where an option waits for its value, click leaves what has no dash among the arguments.
    said = context.params
    name = said.get("name") or said.get("set_name") or next(iter((*(said.get("names") or ()), *context.args)), None)
    if not isinstance(name, str):
        return []
    try:
        settings = _settings(context)
        chosen = set_of(settings, name)
        place = Place(host=settings.host_of(chosen), set=chosen.name)
        with open_target(settings.find_target(chosen.target)) as target:
            files = target.files(place.points)
    except (BackupError, OSError):
        return []
    names = sorted(
        (each.removesuffix(MANIFEST_ENDING) for each in files if each.endswith(MANIFEST_ENDING)), reverse=True
    )
    found: list[CompletionItem] = []
    for each in names:
        try:
            found.append(CompletionItem(each, help=local(read_instant(each))))
        except ValueError:
            continue
    return [item for item in found if str(item.value).startswith(incomplete)][:_MOST]


def _configured(settings: BackupSettings) -> set[str]:
    """Return what each set of the configuration can be called, as short as it goes."""
    count = Counter(each.name for each in settings.sets)
    return {each.name if count[each.name] == 1 else f"{settings.host_of(each)}/{each.name}" for each in settings.sets}


def _offered(context: click.Context, known: set[str], incomplete: str) -> list[CompletionItem]:
    """Return names that go on so, but for those that stand on the line."""
    said = context.params.get("names") or ()
    return [CompletionItem(name) for name in sorted(known.difference(said)) if name.startswith(incomplete)]


def _settings(context: click.Context) -> BackupSettings:
    """Return the settings that what stands on the line so far means, its targets with little patience."""
    said = context.params
    given = Given(target=said.get("target"), more=tuple(said.get("more") or ()))
    settings = settings_for_reading(said.get("config"), given, said.get("key"), None)
    targets = tuple(dataclasses.replace(each, timeout=_PATIENCE) for each in settings.targets)
    return dataclasses.replace(settings, targets=targets)
