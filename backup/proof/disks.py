"""Proves disks: every block is what was saved, the changes fit their images, and a guest that had an agent boots."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from backup.errors import BackupDamaged, DrillFailed, SourceFailed
from backup.proof.contract import Check, Evidence
from backup.proof.guest import boot
from backup.proof.paths import prove_tree
from backup.restoring.machines import put_together
from backup.sources.disks.chain import read_disks
from backup.sources.disks.domain import parse, read_firmware, recorded_firmware
from backup.sources.disks.libvirt import DEFINITION

if TYPE_CHECKING:
    from backup.model import Manifest
    from backup.proof.contract import Case


class ImageProver:
    """Images are put together from what was restored; each change has the SHA-256 the signed manifest names."""

    source = "image"

    def room_bytes(self, manifest: Manifest) -> int:  # noqa: ARG002 - the contract's; images are changed in place
        """Return that it needs no room of its own."""
        return 0

    def prove(self, case: Case) -> Evidence:
        """Compare, and put together. Raises DrillFailed, TimedOut."""
        files = prove_tree(case)
        began = time.monotonic()
        disks = read_disks(case.manifest.consistency)
        what = "disks put together"
        try:
            put_together(case.manifest, case.restored)
        except BackupDamaged as error:
            wrong = Check(what=what, looked_at=len(disks), differing=1, names=(str(error),))
            return Evidence(checks=(*files.checks, wrong), notes=files.notes)
        return Evidence(
            checks=(*files.checks, Check(what=what, looked_at=len(disks))),
            notes=files.notes,
            ready_seconds=time.monotonic() - began,
        )


class LibvirtProver(ImageProver):
    """As an image, and then booted in QEMU until its guest's agent answers, where there was one when it was saved."""

    source = "libvirt"

    def prove(self, case: Case) -> Evidence:
        """Compare, put together, boot. Raises DrillFailed, TimedOut."""
        found = super().prove(case)
        if not found.is_good:
            return found
        if not case.manifest.consistency.get("is_frozen"):
            note = "the guest's agent did not answer when it was saved, so none was waited for and it was not booted"
            return Evidence(checks=found.checks, notes=(*found.notes, note), ready_seconds=found.ready_seconds)
        began = time.monotonic()
        images = {disk.name: case.restored / disk.file for disk in read_disks(case.manifest.consistency)}
        try:
            definition = (case.restored / DEFINITION).read_text(encoding="utf-8")
            firmware = recorded_firmware(case.manifest.consistency) or read_firmware(parse(definition))
            answer = boot(definition, images, case.restored, case.limits, firmware)
        except (OSError, SourceFailed, BackupDamaged) as error:
            raise DrillFailed(f"the restored domain cannot be booted: {error}") from error
        is_up = answer.file_systems is not None
        checks = [
            Check(
                what="guests booted until their agent answered",
                looked_at=1,
                differing=0 if is_up else 1,
                names=() if is_up else (f"it did not answer: {answer.words}",),
            )
        ]
        if answer.file_systems:
            checks.append(Check(what="file systems the guest mounted", looked_at=answer.file_systems))
        return Evidence(
            checks=(*found.checks, *checks),
            notes=(*found.notes, *([answer.note] if answer.note else ())),
            ready_seconds=found.ready_seconds + time.monotonic() - began,
        )
