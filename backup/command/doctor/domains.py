"""What `bkp doctor` finds out about a libvirt domain."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final, Literal

from backup.errors import BackupError
from backup.sources.disks.domain import TPM_LOST
from backup.sources.disks.virsh import Virsh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backup.settings.source import LibvirtSettings

    Level = Literal["ok", "warning", "fault"]

_PROGRAMS: Final = ("virsh", "qemu-img", "qemu-nbd", "nbdfuse", "nbdinfo")


def examine_domain(settings: LibvirtSettings) -> Iterator[tuple[Level, str, str]]:
    """Yield level, text and remedy: whether it can be saved, and what of it is in no backup."""
    if missing := [name for name in _PROGRAMS if shutil.which(name) is None]:
        remedy = "apt install libvirt-clients qemu-utils nbdfuse libnbd-bin"
        yield "fault", f"{', '.join(missing)}: not installed", remedy
        return
    if not settings.exchange.is_dir():
        yield "fault", f"{settings.exchange} is not there", "set `libvirt.exchange` to a folder that QEMU can enter"
    try:
        domain = Virsh(settings.uri).domain(settings.domain, settings.exclude)
    except BackupError as error:
        yield "fault", str(error), "correct its [sets.libvirt] in backup.toml"
        return
    saved = ", ".join(disk.name for disk in domain.disks) or "no disk"
    also = " and the variables of its UEFI" if domain.firmware is not None else ""
    state = "runs" if domain.is_running else "is off"
    yield "ok", f"domain {domain.name!r} {state}; {saved}{also} can be saved", ""
    if not domain.is_running and (far := [disk.name for disk in domain.disks if disk.source is None]):
        remedy = "start the domain, or leave them out by `libvirt.exclude`"
        yield "fault", f"{', '.join(far)}: on the network, saved only while the domain runs", remedy
    for each in domain.not_saved:
        if each == TPM_LOST:
            yield "warning", f"not saved: {each}", "keep that key elsewhere"
        else:
            yield "ok", f"not saved: {each}", ""
