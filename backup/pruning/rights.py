"""What a pruner must not hold, and what its credentials must allow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from backup.errors import KeyForbidden
from backup.keys.trying import demand_public_only
from backup.settings.checks import check_name
from backup.targets.deleting import open_for_deleting

if TYPE_CHECKING:
    from pathlib import Path

    from backup.keys.ring import KeyRing
    from backup.settings.target import TargetSettings

_NOWHERE: Final = "watchkeep-doctor/nothing-is-called-so"


def demand_no_secret(ring: KeyRing, host_folder: Path) -> None:
    """Return when a pruner has no secret key, in its own folder or as a host. Raises KeyForbidden."""
    demand_public_only(ring)
    if host_folder.is_dir():
        raise KeyForbidden(
            f"{host_folder} is a host's key folder: who saves and signs must not delete; give the pruner a"
            " configuration of its own, on another machine or for another user"
        )


def demand_deleting(settings: TargetSettings) -> set[str]:
    """Return the hosts whose backups lie at a target, when its credentials may delete there.

    A Swift says so when it is asked to delete what is not there; of a folder only the attempt would tell. Raises
    TargetRefused, and what the target raises.
    """
    with open_for_deleting(settings) as target:
        target.reach()
        target.delete(_NOWHERE)
        return {host for host in target.folders("") if check_name(host) is None}
