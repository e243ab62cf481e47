"""What a run saved, as things of the machine: the server's coverage holds it against what is there.

The form, of which each source says its own part:

    {"engine": "postgresql", "port": 5432, "databases": ["billing"]}
    {"engine": "mariadb", "port": 3306, "is_whole": true, "left_out": []}   all of a server's, but for those
    {"domains": ["web1"], "is_whole": false}                            is_whole: no disk is left out
    {"roots": ["/"], "file_systems": ["/", "/srv"]}                     the mount points of all that was saved whole
    {"images": ["/srv/images/golden.qcow2"]}
    {"program": "slapcat"}

and for every source `also`, what its settings say in `covers`, and `keeps`, the folders its backups lie in.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from backup.runtime.mounts import data_mounts_below
from core.model.things import readable

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Mapping, Sequence

    from backup.settings.backup_set import SetSettings
    from backup.settings.document import BackupSettings

_MOST_BYTES: Final = 32_768
"""Half of what a structured value may have."""


def told_covers(settings: BackupSettings, chosen: SetSettings, said: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run saves; empty when that is too much to be told: then nobody is told half of it."""
    targets = [settings.find_target(name) for name in chosen.targets]
    keeps = [readable(str(target.folder)) for target in targets if target.folder is not None]
    table = {**said, "also": list(chosen.covers), "keeps": keeps}
    return table if len(json.dumps(table, ensure_ascii=False).encode()) <= _MOST_BYTES else {}


def paths_covers(roots: Sequence[Path], left_out: re.Pattern[bytes], elsewhere: Iterable[bytes]) -> dict[str, Any]:
    """Return which file systems are saved with `roots`: all mounted at or below them now, but for what is left out.

    left_out: whole paths that are; elsewhere: folders of other file systems that are. One that is not mounted now is
    not in it, whatever lies above its place.
    """
    tops = set(roots)
    beyond = {Path(os.fsdecode(folder)) for folder in elsewhere}
    saved: set[Path] = set()
    for top in roots:
        for place in data_mounts_below(top):
            way = [each for each in (place, *place.parents) if each == top or top in each.parents]
            nearest = next(each for each in way if each in tops or each in beyond)
            if nearest in tops and not any(left_out.fullmatch(os.fsencode(each)) for each in way):
                saved.add(place)
    return {
        "roots": [readable(str(root)) for root in roots],
        "file_systems": sorted(readable(str(place)) for place in saved),
    }
