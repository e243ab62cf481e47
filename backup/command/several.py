"""Commands that take any number of sets: which sets of the configuration are meant, how they end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backup.command.options import set_of
from backup.errors import ConfigInvalid, worst

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from backup.settings.backup_set import SetSettings
    from backup.settings.document import BackupSettings


def sets_named(settings: BackupSettings, names: Sequence[str]) -> list[SetSettings]:
    """Return the sets called so, SET or HOST/SET, each once. Raises ConfigInvalid."""
    found = [set_of(settings, name) for name in names]
    return list({(settings.host_of(each), each.name): each for each in found}.values())


def configured_sets(settings: BackupSettings, names: Sequence[str]) -> list[SetSettings]:
    """Return the sets of the configuration that are named, or all when none is. Raises ConfigInvalid."""
    if not names:
        return list(settings.sets)
    found = sets_named(settings, names)
    for each in found:
        if not settings.has_set(each):
            known = ", ".join(f"{settings.host_of(one)}/{one.name}" for one in settings.sets) or "none"
            raise ConfigInvalid(
                f"there is no backup set {settings.host_of(each)}/{each.name} in the configuration; known: {known}"
            )
    return found


def end_with_worst(codes: Iterable[int]) -> None:
    """End the process with the worst of the exit codes; return when each is 0, or there is none."""
    if code := worst(codes):
        raise SystemExit(code)
