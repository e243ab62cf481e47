"""The list of checks, in the order in which they are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from watchkeep.checks.database import check_clock, check_migrations, check_quarantine, check_reachable
from watchkeep.checks.folder import check_data_folder, check_free_disk, check_installation, check_keys
from watchkeep.checks.processes import check_descriptors, check_running
from watchkeep.checks.service import check_lease, check_page
from watchkeep.checks.sources import check_agent_spool, check_gap_ledger, check_heard, check_proxy_spool
from watchkeep.checks.telling import check_definitions, check_notices

if TYPE_CHECKING:
    from collections.abc import Callable

    from watchkeep.checks.subject import Subject
    from watchkeep.checks.verdict import Verdict

    Check = Callable[[Subject], Verdict]

CHECKS: Final[dict[str, tuple[Check, ...]]] = {
    "Installation": (check_data_folder, check_free_disk, check_installation, check_keys),
    "Processes": (check_running, check_descriptors),
    "Database": (check_reachable, check_migrations, check_clock, check_quarantine),
    "Server": (check_lease, check_page),
    "What comes in": (check_heard, check_gap_ledger, check_agent_spool, check_proxy_spool),
    "What is told": (check_definitions, check_notices),
}
