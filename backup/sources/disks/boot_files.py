"""The files beside its disks that a domain boots with: kernel and initrd, or the variables of its UEFI."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from backup.errors import SourceFailed
from backup.runtime.child import Program, run
from backup.sources.disks.virsh import environment, words_of

if TYPE_CHECKING:
    from xml.etree import ElementTree as Xml

    from backup.sources.disks.domain import Domain, Firmware

BOOT: Final = "boot"
NVRAM: Final = "nvram"  # the variables: boot entries, the keys of Secure Boot
BOOT_FILES: Final = ("kernel", "initrd", NVRAM)
_TRIES: Final = 10
_CALL_SECONDS: Final = 60.0
_SOUND: Final = (0, 3)  # qemu-img check: 3 is room that is lost, no more


def save_boot_files(folder: Path, domain: Domain, definition: Xml.Element) -> dict[str, int]:
    """Copy what a domain is booted with beside its disks; return the files' times of change, by their names.

    definition: what it is started from next. Raises SourceFailed naming a file that cannot be read. Variables of a
    domain that is off may not be there yet: libvirt makes them at its first start.
    """
    places = {name: (definition.findtext(f"os/{name}") or "").strip() for name in BOOT_FILES if name != NVRAM}
    if domain.firmware is not None and (domain.is_running or Path(domain.firmware.nvram).exists()):
        places[NVRAM] = domain.firmware.nvram
    found: dict[str, int] = {}
    for name, place in places.items():
        if not place and name != NVRAM:
            continue
        if not place:
            raise SourceFailed("the variables of the domain's UEFI are no file of this machine and cannot be saved")
        folder.mkdir(exist_ok=True)
        copy = folder / name
        try:
            _copy(Path(place), copy)
        except OSError as error:
            raise SourceFailed(f"{place}, which the domain boots with, cannot be read: {error.strerror}") from error
        copy.chmod(0o600)
        if name == NVRAM and domain.firmware is not None:
            _demand_sound(copy, place, domain.firmware)
        found[name] = int(copy.stat().st_mtime)
    return found


def _copy(source: Path, copy: Path) -> None:
    """Copy a file as it is at one moment. Raises OSError, SourceFailed when it is written all the time."""
    for _ in range(_TRIES):
        before = source.stat().st_mtime_ns
        shutil.copy2(source, copy)
        if source.stat().st_mtime_ns == before:
            return
    raise SourceFailed(f"{source}, which the domain boots with, changed each time it was read; try again")


def _demand_sound(copy: Path, place: str, firmware: Firmware) -> None:
    """Raise SourceFailed when the copy of an image of variables is none that QEMU can use."""
    if firmware.nvram_format != "qcow2":
        return
    program = Program(
        arguments=["qemu-img", "check", "-f", "qcow2", str(copy)], environment=environment(), doing=f"checking {place}"
    )
    try:
        ended = run(program, time_limit_seconds=_CALL_SECONDS)
    except OSError as error:
        raise SourceFailed(f"qemu-img cannot be started ({error.strerror}): install qemu-utils") from error
    if ended.exit_code not in _SOUND:
        raise SourceFailed(f"{place} was being written when it was read ({words_of(ended)}); try again")
