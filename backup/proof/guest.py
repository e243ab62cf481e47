"""A guest booted from restored disks, by QEMU alone: no network, no libvirt, nothing of it stays."""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from backup.errors import DrillFailed
from backup.proof.firmware import choose_flash
from backup.proof.monitor import why_stopped
from backup.runtime.child import Program, running
from backup.runtime.private_folder import temporary_folder
from backup.sources.disks.boot_files import BOOT, NVRAM
from backup.sources.disks.domain import parse
from backup.sources.disks.virsh import environment

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence
    from pathlib import Path

    from backup.proof.contract import Limits
    from backup.proof.firmware import Flash
    from backup.sources.disks.domain import Firmware

_AGENT: Final = "org.qemu.guest_agent.0"
_MOST_BOOT_SECONDS: Final = 900.0  # an emulated processor is slow
_LOOK_SECONDS: Final = 0.5
_ANSWER_SECONDS: Final = 5.0
_OVERHEAD_BYTES: Final = 256 << 20  # QEMU's own
_LEAST_BYTES: Final = 128 << 20
_MOST_ANSWER: Final = 1 << 20
_WORDS: Final = 300
_NO_ROOM: Final = "io-error"  # as QEMU calls it that an image cannot be written: nor could emulation
_UNITS: Final = {
    "b": 1,
    "bytes": 1,
    "KB": 1000,
    "KiB": 1 << 10,
    "MB": 10**6,
    "MiB": 1 << 20,
    "GB": 10**9,
    "GiB": 1 << 30,
}
_DEVICES: Final = {"scsi": "scsi-hd", "sata": "ide-hd", "ide": "ide-hd"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the guest's agent said: how many file systems are mounted; None when it did not answer, and why then.

    note: what went wrong before it was booted once more; empty when nothing did.
    """

    file_systems: int | None
    words: str = ""
    note: str = ""


def boot(
    definition: str, images: dict[str, Path], top: Path, limits: Limits, firmware: Firmware | None = None
) -> Answer:
    """Boot a domain's definition from `images` (raw, by target) until its agent answers, or does not.

    top: what was restored. firmware: the UEFI it had; None boots as a BIOS does. The images and the UEFI's variables
    are written to. Raises DrillFailed when QEMU or the firmware is missing or cannot be started.
    """
    failed = note = words = ""
    for accelerator in accelerators():
        if failed:
            note = f"{failed}; it was booted once more by emulation"
        with temporary_folder("bkp-boot-") as folder:  # short: a socket has to fit into it
            arguments = _arguments(definition, images, (top, folder), accelerator, limits, firmware)
            program = Program(arguments=arguments, environment=environment(), doing="booting the restored guest")
            try:
                with running(program) as guest:
                    found, stopped = _await(guest, folder, limits)
            except OSError as error:
                raise DrillFailed(f"{arguments[0]} cannot be started ({error.strerror}): install QEMU") from error
            if found is not None:
                return Answer(file_systems=found, note=note)
            ended = f"QEMU stopped it: {stopped}." if stopped else _said(guest)
            words = f"{ended} {_console(folder / 'console')}".strip()
            if not ended or stopped == _NO_ROOM:
                break
            failed = f"{ended} That was by {accelerator}"
    return Answer(file_systems=None, words=words[-_WORDS:] or "without a word", note=note)


def accelerators() -> Sequence[str]:
    """Return by what a guest is run, in turn: what KVM cannot go on with, emulation may."""
    return ["kvm", "tcg"] if os.access("/dev/kvm", os.R_OK | os.W_OK) else ["tcg"]


def _arguments(
    definition: str,
    images: dict[str, Path],
    folders: tuple[Path, Path],
    accelerator: str,
    limits: Limits,
    firmware: Firmware | None,
) -> list[str]:
    top, folder = folders
    domain = parse(definition)
    kind = domain.find("os/type")
    architecture = "x86_64" if kind is None else kind.get("arch", "x86_64")
    named = "pc" if kind is None else kind.get("machine", "pc")
    machine = "q35" if "q35" in named else "pc"
    flash = None
    if firmware is not None:
        flash = choose_flash(firmware, top / BOOT / NVRAM, named, architecture)
        machine += flash.machine_options()
    memory = domain.find("memory")
    wanted = _LEAST_BYTES
    if memory is not None and (memory.text or "").strip().isdigit():
        wanted = int(memory.text or "0") * _UNITS.get(memory.get("unit", "KiB"), 1 << 10)
    size = max(_LEAST_BYTES, min(wanted, limits.memory_bytes - _OVERHEAD_BYTES))
    return [
        f"qemu-system-{architecture}", "-no-user-config", "-nodefaults", "-display", "none", "-nic", "none",
        "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
        "-machine", f"{machine},accel={accelerator}", "-cpu", "host" if accelerator == "kvm" else "max",
        "-m", f"size={size >> 20}M", "-smp", "1",
        "-qmp", f"unix:{folder / 'monitor'},server=on,wait=off",
        "-serial", f"file:{folder / 'console'}",
        "-device", "virtio-serial-pci",
        "-chardev", f"socket,id=agent,path={folder / 'agent'},server=on,wait=off",
        "-device", f"virtserialport,chardev=agent,name={_AGENT}",
        *_booting(domain, top, flash),
        *_disks(domain, images),
    ]  # fmt: skip


def _booting(domain: Any, top: Path, flash: Flash | None) -> Sequence[str]:
    """Return the kernel that libvirt boots directly, or the firmware, where the restored domain has them."""
    found: list[str] = []
    for name, option in (("kernel", "-kernel"), ("initrd", "-initrd")):
        if (top / BOOT / name).is_file():
            found += [option, str(top / BOOT / name)]
    if "-kernel" in found and (line := domain.findtext("os/cmdline")):
        found += ["-append", line]
    return found if flash is None else [*found, *flash.arguments()]


def _disks(domain: Any, images: dict[str, Path]) -> Sequence[str]:
    found: list[str] = ["-device", "virtio-scsi-pci"]
    for number, (name, image) in enumerate(images.items(), start=1):
        target = next((each for each in domain.iterfind("devices/disk/target") if each.get("dev") == name), None)
        device = _DEVICES.get("" if target is None else target.get("bus", ""), "virtio-blk-pci")
        found += ["-drive", f"if=none,id={name},format=raw,cache=unsafe,file={_escaped(image)}"]
        found += ["-device", f"{device},drive={name},bootindex={number}"]
    return found


def _escaped(path: Path) -> str:
    return str(path).replace(",", ",,")


def _await(guest: subprocess.Popen[bytes], folder: Path, limits: Limits) -> tuple[int | None, str]:
    """Return how many file systems the guest has mounted; None when it does not answer in time, ended, or was stopped.

    QEMU's word for why it stopped the guest comes second, empty when it did not: none goes on then, however long it is
    waited for.
    """
    deadline = time.monotonic() + min(_MOST_BOOT_SECONDS, limits.left_seconds("the guest was booted"))
    while guest.poll() is None and time.monotonic() < deadline:
        if (stopped := why_stopped(folder / "monitor")) is not None:
            return None, stopped
        if ask(folder / "agent", "guest-ping") is not None:
            mounted = ask(folder / "agent", "guest-get-fsinfo")
            return len(mounted) if isinstance(mounted, list) else 0, ""
        time.sleep(_LOOK_SECONDS)
    return None, ""


def ask(agent: Path, command: str) -> Any:
    """Return what a guest's agent answers to a command without arguments; None when it does not."""
    line = json.dumps({"execute": command}) + "\n"
    said = b""
    with suppress(OSError, ValueError, KeyError), socket.socket(socket.AF_UNIX) as link:
        link.settimeout(_ANSWER_SECONDS)
        link.connect(str(agent))
        link.sendall(line.encode())
        until = time.monotonic() + _ANSWER_SECONDS
        while b"\n" not in said and len(said) < _MOST_ANSWER and time.monotonic() < until:
            piece = link.recv(1 << 16)
            if not piece:
                break
            said += piece
        return json.loads(said.partition(b"\n")[0])["return"]
    return None


def _said(guest: subprocess.Popen[bytes]) -> str:
    return f"QEMU ended with exit code {guest.returncode}." if guest.returncode not in (None, 0, -15) else ""


def _console(file: Path) -> str:
    try:
        words = file.read_bytes()[-4096:].decode("utf-8", "replace")
    except OSError:
        return ""
    shown = "".join(letter if letter.isprintable() else " " for letter in words)
    return " ".join(shown.split())[-_WORDS:]
