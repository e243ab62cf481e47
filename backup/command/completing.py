"""What a shell is offered for a set's name and for --at: read from configuration and target, at most a few seconds."""

from __future__ import annotations

import dataclasses
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
        known = {each.name for each in settings.sets}
        reach = all_sets(settings)
        known |= {reach.label(each) for each in reach.sets if not settings.has_set(each)}
    except (BackupError, OSError):
        return []
    return [CompletionItem(name) for name in sorted(known) if name.startswith(incomplete)]


def complete_points(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the newest restore points of the set that was named before, each with its local time."""
    # Where an option waits for its value, click leaves what has no dash among the arguments.
    name = context.params.get("name") or context.params.get("set_name") or next(iter(context.args), None)
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


def _settings(context: click.Context) -> BackupSettings:
    """Return the settings that what stands on the line so far means, its targets with little patience."""
    said = context.params
    given = Given(target=said.get("target"), more=tuple(said.get("more") or ()))
    settings = settings_for_reading(said.get("config"), given, said.get("key"), None)
    targets = tuple(dataclasses.replace(each, timeout=_PATIENCE) for each in settings.targets)
    return dataclasses.replace(settings, targets=targets)
