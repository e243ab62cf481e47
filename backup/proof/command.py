"""Proves what a program wrote: the file is, by its digest, what came out of the program."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from backup.errors import DrillFailed
from backup.proof.contract import Check, Evidence
from backup.proof.paths import prove_tree

if TYPE_CHECKING:
    from backup.model import Manifest
    from backup.proof.contract import Case


class CommandProver:
    """Whether anything can be made of it, only its own program knows: that is told as a note."""

    source = "command"

    def room_bytes(self, manifest: Manifest) -> int:  # noqa: ARG002 - the contract's; nothing is written
        """Return that it needs no room of its own."""
        return 0

    def prove(self, case: Case) -> Evidence:
        """Compare and digest. Raises DrillFailed, TimedOut."""
        found = prove_tree(case)
        name = str(case.manifest.consistency.get("file"))
        try:
            with (case.restored / name).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise DrillFailed(f"{name} cannot be read in what was restored: {error.strerror}") from error
        is_same = digest == case.manifest.consistency.get("sha256")
        check = Check(
            what="outputs digested",
            looked_at=1,
            differing=0 if is_same else 1,
            names=() if is_same else (f"{name} is not what {case.manifest.consistency.get('program')} wrote",),
        )
        notes = (*found.notes, "whether its program can use it was not tried")
        return Evidence(checks=(*found.checks, check), notes=notes)
