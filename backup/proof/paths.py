"""Proves files and folders: each is held against what the host saw when it saved it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backup.errors import DrillFailed
from backup.proof.contract import Evidence
from core.model.counting import counted

if TYPE_CHECKING:
    from backup.model import Manifest
    from backup.proof.contract import Case


class PathsProver:
    """Every entry and every block of every file is compared; see backup/proof/tree.py for what that covers."""

    source = "paths"

    def room_bytes(self, manifest: Manifest) -> int:  # noqa: ARG002 - the contract's; nothing is written
        """Return that it needs no room of its own."""
        return 0

    def prove(self, case: Case) -> Evidence:
        """Compare what was restored. Raises DrillFailed, TimedOut."""
        return prove_tree(case)


def prove_tree(case: Case) -> Evidence:
    """Return the evidence that the restored folder is, byte for byte, what was saved: for provers of any source."""
    try:
        from backup.proof.tree import compare_tree  # noqa: PLC0415 - numpy, which only a restore station needs
    except ModuleNotFoundError as error:
        raise DrillFailed(f"{error.name} is not installed here: pip install 'watchkeep[drills]'") from error
    checks = compare_tree(case.restored, case.signatures, case.limits)
    left_out = case.manifest.counts.unreadable
    notes = () if not left_out else (f"{counted(left_out, 'entry')} could not be read when this was saved: not in it",)
    return Evidence(checks=tuple(checks), notes=notes)
