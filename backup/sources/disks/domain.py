"""What libvirt's XML says of a domain: its disks, its firmware, and what of it no backup holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as Xml

from backup.errors import BackupDamaged, SourceFailed
from backup.sources.disks.chain import is_disk_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

TPM_LOST: Final = "the state of its TPM: what is sealed with it, such as a disk's key, needs its recovery key"
_CAN_BE_READ: Final = ("qcow2", "raw")
FLASH_FORMATS: Final = ("raw", "qcow2")
_NVRAM: Final = "/var/lib/libvirt/qemu/nvram"  # where libvirt lays variables whose place no definition names


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainDisk:
    """A disk of a domain: its target's name ("vda"), its image's format, and its file or device (None: a network's)."""

    name: str
    format: str
    source: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Firmware:
    """The UEFI a domain boots with; an empty path is unknown. format: of the variables' file, nvram_format: of that.

    is_secure: it runs in system management mode, so that no system in the guest can write its variables itself.
    """

    loader: str
    format: str
    nvram: str
    nvram_format: str
    is_secure: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """A domain as libvirt has it now.

    number: libvirt's, while it runs. left_out: names of disks that are not saved; not_saved: those and all else that is
    not, in words. owner: user and group of its QEMU process; None where not told. firmware: None where it boots without
    UEFI.
    """

    name: str
    uuid: str
    number: int | None
    is_running: bool
    disks: tuple[DomainDisk, ...]
    left_out: tuple[str, ...]
    not_saved: tuple[str, ...]
    owner: tuple[int, int] | None
    firmware: Firmware | None


def parse(text: str) -> Xml.Element:
    """Return XML that libvirt wrote. Raises SourceFailed."""
    try:
        return Xml.fromstring(text)  # noqa: S314 - of this machine's libvirt; expat bounds how entities grow
    except Xml.ParseError as error:
        raise SourceFailed(f"libvirt's XML cannot be read: {error}") from error


def read_domain(text: str, exclude: Collection[str] = (), *, is_running: bool) -> Domain:
    """Return the domain of its XML. Raises SourceFailed for a disk that cannot be saved; floppies and CDs never are."""
    top = parse(text)
    disks, left_out, not_saved = [], [], []
    for each in top.iterfind("devices/disk"):
        name, kind = target_of(each), each.get("device", "disk")
        if name in exclude:
            left_out.append(name)
            not_saved.append(f"disk {name}, which is excluded")
        elif kind in ("cdrom", "floppy"):
            left_out.append(name)
            if (medium := _source_words(each)) is not None:
                not_saved.append(f"the medium in drive {name}{medium}")
        elif kind != "disk":
            raise SourceFailed(
                f"disk {name} is a {kind} of a disk array: leave it out by `exclude`, and save it inside"
            )
        else:
            disks.append(_read_disk(each, name))
    owner = top.findtext("seclabel[@model='dac']/label")
    name = top.findtext("name", "")
    return Domain(
        name=name,
        uuid=top.findtext("uuid", ""),
        number=int(number) if (number := top.get("id", "")).isdigit() else None,
        is_running=is_running,
        disks=tuple(disks),
        left_out=tuple(left_out),
        not_saved=(*not_saved, *_read_others(top)),
        owner=_read_owner(owner) if owner else None,
        firmware=read_firmware(top),
    )


def target_of(disk: Xml.Element) -> str:
    """Return the name of a disk's target, "vda"."""
    target = disk.find("target")
    return "" if target is None else target.get("dev", "")


def _read_disk(disk: Xml.Element, name: str) -> DomainDisk:
    driver, source = disk.find("driver"), disk.find("source")
    kind = "raw" if driver is None else driver.get("type", "raw")
    if not is_disk_name(name):
        raise SourceFailed(f"a disk has the target {name!r}, which cannot be a file's name")
    if kind not in _CAN_BE_READ:
        raise SourceFailed(f"disk {name} is of type {kind}, not {' or '.join(_CAN_BE_READ)}: leave it out by `exclude`")
    found = None if source is None else source.get("file") or source.get("dev")
    return DomainDisk(name=name, format=kind, source=found)


def _source_words(disk: Xml.Element) -> str | None:
    """Return " (FILE)" of a drive's medium, nothing for one without a path; None when the drive is empty."""
    source = disk.find("source")
    if source is None:
        return None
    path = source.get("file") or source.get("dev") or source.get("name")
    return f" ({path})" if path else ""


def _read_others(top: Xml.Element) -> Iterator[str]:
    """Name what may hold data and is neither a disk nor a drive."""
    for tpm in top.iterfind("devices/tpm/backend"):
        yield TPM_LOST if tpm.get("type") == "emulator" else "its TPM, which is this machine's"
    for shared in top.iterfind("devices/filesystem"):
        source = shared.find("source")
        path = "" if source is None else source.get("dir") or source.get("file") or source.get("dev") or ""
        yield f"the folder {path} that is shared with it".replace("  ", " ")
    if handed := len(top.findall("devices/hostdev")):
        yield f"what {handed} devices of this machine hold that are handed through to it"


def read_firmware(top: Xml.Element) -> Firmware | None:
    """Return the UEFI of a definition; where libvirt chose it (`firmware='efi'`), only that of a running one is whole.

    A definition that names no file for its variables has them at libvirt's own place.
    """
    boot = top.find("os")
    loader = None if boot is None else boot.find("loader")
    is_chosen = boot is not None and boot.get("firmware") == "efi"
    if boot is None or not (is_chosen or (loader is not None and loader.get("type") == "pflash")):
        return None
    nvram = boot.find("nvram")
    source = None if nvram is None else nvram.find("source")
    path = "" if nvram is None else (nvram.text or "").strip()
    if source is not None:
        path = source.get("file") or source.get("dev") or ""
    if nvram is None:
        path = f"{_NVRAM}/{top.findtext('name', '')}_VARS.fd"
    return Firmware(
        loader="" if loader is None else (loader.text or "").strip(),
        format="raw" if loader is None else loader.get("format", "raw"),
        nvram=path,
        nvram_format="raw" if nvram is None else nvram.get("format", "raw"),
        is_secure=loader is not None and loader.get("secure") == "yes",
    )


def recorded_firmware(record: Mapping[str, Any]) -> Firmware | None:
    """Return the firmware of a consistency record. Raises BackupDamaged when it cannot be understood."""
    if (said := record.get("firmware")) is None:
        return None
    try:
        found = Firmware(**said)
    except TypeError as error:
        raise BackupDamaged(f"the manifest does not say what firmware the domain had: {error}") from error
    if found.format not in FLASH_FORMATS or found.nvram_format not in FLASH_FORMATS:
        raise BackupDamaged(f"the manifest names a firmware that cannot be used: {said!r}")
    return found


def _read_owner(label: str) -> tuple[int, int] | None:
    """Read libvirt's "+64055:+64055"; names in it are looked up by nobody here."""
    user, _, group = label.replace("+", "").partition(":")
    return (int(user), int(group)) if user.isdigit() and group.isdigit() else None
