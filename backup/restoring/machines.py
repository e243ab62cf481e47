"""Restored disks made ready for use, and a domain of its own made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as Xml

from backup.errors import BackupDamaged, DestinationInUse, NotInBackup, SourceFailed
from backup.runtime.child import Program, run
from backup.sources.disks.boot_files import BOOT, BOOT_FILES, NVRAM
from backup.sources.disks.chain import CHANGES, IMAGES, apply_changes, read_disks
from backup.sources.disks.domain import TPM_LOST, parse, read_firmware, recorded_firmware, target_of
from backup.sources.disks.libvirt import DEFINITION
from backup.sources.disks.virsh import Virsh, environment, words_of

if TYPE_CHECKING:
    from pathlib import Path, PurePosixPath

    from backup.model import Manifest
    from backup.sources.disks.chain import Disk
    from backup.sources.disks.domain import Firmware

_DOMAINS: Final = "libvirt"
_OF_DISKS: Final = (_DOMAINS, "image")
# What names one machine and no other: a second one gets its own from libvirt.
_OWN: Final = ("uuid", "genid")


def holds_disks(manifest: Manifest) -> bool:
    """Whether a restore point is of disks, of which changes have to be put together with their images."""
    return manifest.source in _OF_DISKS


def demand_path(manifest: Manifest, path: PurePosixPath) -> None:
    """Raise NotInBackup for a part of disks that is nothing without the others."""
    if holds_disks(manifest) and path.parts[0] in (IMAGES, CHANGES):
        raise NotInBackup(f"{path} is only a part: disks come back together. Leave --path out")


def put_together(manifest: Manifest, restored: Path) -> None:
    """Make images of what was restored: as they were at the restore point, sparse. Raises BackupDamaged."""
    apply_changes(restored, read_disks(manifest.consistency))


def demand_free(manifest: Manifest, name: str, uri: str) -> None:
    """Return when `name` can be given to a new domain. Raises NotInBackup, DestinationInUse."""
    if manifest.source != _DOMAINS:
        raise NotInBackup(f"it holds no domain: this set saves {manifest.source}")
    virsh = Virsh(uri)
    try:
        virsh.ask("uri", doing="reaching libvirt")
    except SourceFailed as error:
        raise DestinationInUse(f"{error}; name another libvirt with --connect") from error
    if virsh.try_("domuuid", f"--domain={name}", doing="looking for the domain").exit_code == 0:
        raise DestinationInUse(f"there is a domain {name!r} already: choose another name, or undefine it first")


def define_domain(manifest: Manifest, folder: Path, name: str, uri: str, seconds: float) -> dict[str, Any]:
    """Define domain `name`, off, from what was restored into `folder`; return its name, UUID, and what it lacks.

    It gets a UUID and network addresses (MAC) of its own, and its images their old format, in `folder`/disks. Raises
    BackupDamaged, DestinationInUse (libvirt refuses it; the restored files stay), TimedOut.
    """
    virsh = Virsh(uri)
    disks = {disk.name: disk for disk in read_disks(manifest.consistency)}
    images = {each: _in_old_format(folder, disk, seconds) for each, disk in disks.items()}
    top = parse((folder / DEFINITION).read_text(encoding="utf-8"))
    firmware = recorded_firmware(manifest.consistency) or read_firmware(top)
    lacking = adapt(top, name, images, folder, firmware)
    file = folder / f"{DEFINITION}.new"
    file.write_bytes(Xml.tostring(top))
    for each in (folder, folder / IMAGES, folder / BOOT):
        if each.is_dir():
            each.chmod(0o711)  # QEMU's user goes through
    try:
        virsh.ask("define", f"--file={file}", doing=f"defining domain {name!r}")
        uuid = virsh.ask("domuuid", f"--domain={name}", doing="asking for its UUID").strip()
    except SourceFailed as error:
        raise DestinationInUse(f"{error}; its images and {file} are there: correct it and say virsh define") from error
    file.replace(folder / DEFINITION)
    return {"domain": name, "uuid": uuid, "disks": {each: str(path) for each, path in images.items()}, "lacks": lacking}


def _in_old_format(folder: Path, disk: Disk, seconds: float) -> Path:
    """Return the image in the format it was saved from; checkpoints, and so small incrementals, need qcow2."""
    raw = folder / disk.file
    if disk.image == "raw":
        return raw
    made = raw.with_suffix(f".{disk.image}")
    program = Program(
        arguments=["qemu-img", "convert", "-f", "raw", "-O", disk.image, str(raw), str(made)],
        environment=environment(),
        doing=f"converting {raw.name}",
    )
    try:
        ended = run(program, time_limit_seconds=seconds)
    except OSError as error:
        raise DestinationInUse(f"qemu-img cannot be started ({error.strerror}): install qemu-utils") from error
    if ended.exit_code != 0:
        raise DestinationInUse(f"{raw} cannot be converted: {words_of(ended)}")
    raw.unlink()
    return made


def adapt(
    top: Xml.Element, name: str, images: dict[str, Path], folder: Path, firmware: Firmware | None = None
) -> list[str]:
    """Make the definition one of a new domain; return what it lacks of the old one, in words.

    folder: where it was restored to. firmware: the UEFI the old one had.
    """
    for each in BOOT_FILES:
        place, saved = top.find(f"os/{each}"), folder / BOOT / each
        if place is not None and saved.is_file():
            place.text = str(saved)
    _adapt_variables(top, folder / BOOT / NVRAM, firmware)
    for path in _OWN:
        if (found := top.find(path)) is not None:
            top.remove(found)
    named, devices = top.find("name"), top.find("devices")
    if named is None or devices is None:
        raise BackupDamaged(f"{DEFINITION} defines no domain")
    named.text = name
    for interface in devices.iterfind("interface"):
        for address in interface.findall("mac"):
            interface.remove(address)
    for channel in devices.iterfind("channel[@type='unix']"):
        for source in channel.findall("source"):
            channel.remove(source)
    lacking = _adapt_disks(devices, images)
    return [*lacking, TPM_LOST] if devices.find("tpm/backend[@type='emulator']") is not None else lacking


def _adapt_variables(top: Xml.Element, saved: Path, firmware: Firmware | None) -> None:
    """Give a domain with UEFI the variables that were saved, and never those of the domain it was made of."""
    boot = top.find("os")
    if boot is None:
        return
    for place in boot.findall(NVRAM):
        boot.remove(place)
    if firmware is not None and saved.is_file():
        kind = {} if firmware.nvram_format == "raw" else {"format": firmware.nvram_format}
        Xml.SubElement(boot, NVRAM, kind).text = str(saved)


def _adapt_disks(devices: Xml.Element, images: dict[str, Path]) -> list[str]:
    lacking = []
    for disk in devices.findall("disk"):
        name = target_of(disk)
        if name not in images and disk.get("device", "disk") == "disk":
            devices.remove(disk)
            lacking.append(f"disk {name}, which was not saved")
            continue
        for each in ("source", "backingStore", "mirror", "auth"):
            for found in disk.findall(each):
                disk.remove(found)
                if each == "source" and name not in images:
                    lacking.append(f"the medium in drive {name}")
        if name in images:
            disk.set("type", "file")
            Xml.SubElement(disk, "source", file=str(images[name]))
            driver = disk.find("driver")
            if driver is None:
                driver = Xml.SubElement(disk, "driver", name="qemu")
            driver.set("type", images[name].suffix[1:])
    if lost := sorted(images.keys() - {target_of(disk) for disk in devices.iterfind("disk")}):
        lacking += [f"a place for disk {name}, which was plugged in while it ran" for name in lost]
    return lacking
