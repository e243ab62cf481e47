"""The UEFI a restored guest is booted with: the one it had, else one of the same kind that this machine has.

What a machine has is said by QEMU's firmware descriptors (QEMU, docs/interop/firmware.json).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from backup.errors import DrillFailed
from backup.sources.disks.domain import FLASH_FORMATS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backup.sources.disks.domain import Firmware

_DESCRIPTORS: Final = (Path("/etc/qemu/firmware"), Path("/usr/share/qemu/firmware"))
_DESCRIPTOR_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Flash:
    """A firmware and its variables, as QEMU is to have them."""

    firmware: Firmware
    variables: Path | None

    def machine_options(self) -> str:
        """Return what QEMU's -machine has to say for it."""
        return ",smm=on" if self.firmware.is_secure else ""

    def arguments(self) -> list[str]:
        """Return QEMU's options."""
        found = ["-drive", f"if=pflash,unit=0,format={self.firmware.format},readonly=on,file={self.firmware.loader}"]
        if self.variables is not None:
            file = str(self.variables).replace(",", ",,")
            found += ["-drive", f"if=pflash,unit=1,format={self.firmware.nvram_format},file={file}"]
        if self.firmware.is_secure:
            found += ["-global", "driver=cfi.pflash01,property=secure,value=on"]
        return found


def choose_flash(firmware: Firmware, variables: Path, machine: str, architecture: str) -> Flash:
    """Return what to boot with, with the `variables` that were saved, if they are there.

    machine: QEMU's name, "pc-q35-7.2". Raises DrillFailed when this machine has no such firmware.
    """
    there = variables if variables.is_file() else None
    if firmware.loader and Path(firmware.loader).is_file():
        return Flash(firmware=firmware, variables=there)
    for said in _descriptors():
        if (found := _fitting(said, firmware, there, (machine, architecture))) is not None:
            return Flash(firmware=found, variables=there)
    name = firmware.loader or "a UEFI"
    kind = " with Secure Boot" if firmware.is_secure else ""
    raise DrillFailed(
        f"the guest boots with {name}{kind}, and this machine has none that fits: install it (Debian: ovmf)"
    )


def _descriptors() -> Iterator[dict[str, Any]]:
    """Yield the descriptors in the order of their names; an administrator's stands in for one of the same name."""
    files: dict[str, Path] = {}
    for folder in reversed(_DESCRIPTORS):
        files |= {file.name: file for file in folder.glob("*.json")}
    for _, file in sorted(files.items()):
        try:
            with file.open("rb") as opened:
                said = json.loads(opened.read(_DESCRIPTOR_BYTES))
        except (OSError, ValueError):  # an empty one takes away that of its name
            continue
        if isinstance(said, dict):
            yield said


def _fitting(
    said: dict[str, Any], firmware: Firmware, variables: Path | None, where: tuple[str, str]
) -> Firmware | None:
    """Return the firmware a descriptor names, if it can stand in: for the machine, as secure, variables as large."""
    machine, architecture = where
    try:
        mapping = said["mapping"]
        if mapping["device"] != "flash" or "uefi" not in said["interface-types"]:
            return None
        fits = any(
            target["architecture"] == architecture and any(fnmatch(machine, each) for each in target["machines"])
            for target in said["targets"]
        )
        code, template = mapping["executable"], mapping["nvram-template"]
        made = replace(firmware, loader=str(code["filename"]), format=str(code["format"]))
        size = Path(template["filename"]).stat().st_size
    except (KeyError, TypeError, OSError):
        return None
    if (
        not fits
        or ("requires-smm" in said.get("features", ())) != firmware.is_secure
        or made.format not in FLASH_FORMATS
    ):
        return None
    if variables is not None and (template["format"] != firmware.nvram_format or size != _size(variables, size)):
        return None
    return made if Path(made.loader).is_file() else None


def _size(variables: Path, size: int) -> int:
    """Return how large the variables are; an image of them is as large as it has grown, which says nothing."""
    with variables.open("rb") as opened:
        is_image = opened.read(4) == b"QFI\xfb"
    return size if is_image else variables.stat().st_size
