"""Replays the binary logs archived after a restore point, all of them, in the server of a drill."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backup.binlog.recovery import bring_logs
from backup.binlog.replaying import replay
from backup.binlog.statements import demand_replayable
from backup.errors import BackupDamaged, DestinationInUse, ObjectMissing, SignatureBad, SourceFailed
from backup.proof.contract import Check
from backup.when import local
from core.model.counting import counted

if TYPE_CHECKING:
    from backup.binlog.statements import Names
    from backup.proof.contract import Case
    from backup.settings.source import MysqlLogin


def check_logs(case: Case, login: MysqlLogin, names: Names | None, *, has_accounts: bool = True) -> Check | None:
    """Replay them into the database of `login`, or with no names into all; None when none are archived after it.

    What stands in the way would stand in a restore's, too: it is what the check finds. Raises TimedOut.
    """

    def within(done: int, wanted: int) -> None:
        case.limits.left_seconds(f"binary logs were fetched, {done} of {wanted}")

    try:
        way = bring_logs(case.station, case.manifest, case.restored, None, within)
        if way is None:
            return None
        if names is not None:
            demand_replayable(way, names)
        seconds = case.limits.left_seconds("binary logs were replayed")
        replay(login, way, names, seconds, has_accounts=has_accounts)
    except (BackupDamaged, DestinationInUse, ObjectMissing, SignatureBad, SourceFailed) as error:
        return Check(what="replays of its binary logs", looked_at=1, differing=1, names=(str(error),))
    return Check(what=f"replays of {counted(len(way.files), 'binary log')}, up to {local(way.reaches)}", looked_at=1)
