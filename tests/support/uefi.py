"""A guest that only its UEFI's variables boot: the entry in them names a kernel of which no firmware knows by itself.

The store of variables is EDK II's (MdeModulePkg, Include/Guid/VariableFormat.h), entries are of the UEFI specification,
section 3.1.3 (Load Options).
"""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path
from typing import Final
from uuid import UUID

_FOLDER: Final = Path("/usr/share/OVMF")
_GLOBAL: Final = UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c").bytes_le
_KEPT: Final = 7  # non-volatile, for the firmware and for what it boots
_HEADER: Final = struct.Struct("<HBBIQ16sIII16s")
_STORE_HEADER: Final = 28
_OPTIONS: Final = r"initrd=\guest\initrd.gz console=ttyS0 quiet panic=1"
BOOT: Final = """<os firmware='efi'>
 <type arch='x86_64' machine='pc'>hvm</type><nvram>{variables}</nvram>
</os>"""


def make_variables(file: Path) -> Path:
    """Write a store of variables whose one boot entry is the guest's kernel."""
    store = bytearray((_FOLDER / "OVMF_VARS_4M.fd").read_bytes())
    (offset,) = struct.unpack_from("<H", store, 48)
    at = offset + _STORE_HEADER  # Debian's are empty
    made = _variable("Boot0000", _entry(r"\guest\kernel.efi")) + _variable("BootOrder", struct.pack("<H", 0))
    assert set(store[at : at + len(made)]) == {0xFF}
    store[at : at + len(made)] = made
    file.write_bytes(store)
    return file


def make_boot_disk(file: Path, guest: Path) -> Path:
    """Write a file system (FAT) with the guest's kernel and initrd, at a place that no firmware looks at by itself."""
    with file.open("wb") as made:
        made.truncate(24 << 20)
    subprocess.run(["mformat", "-i", file, "::"], check=True)
    subprocess.run(["mmd", "-i", file, "::/guest"], check=True)
    for source, name in (("kernel", "kernel.efi"), ("initrd.gz", "initrd.gz")):
        subprocess.run(["mcopy", "-i", file, guest / source, f"::/guest/{name}"], check=True)
    return file


def _entry(kernel: str) -> bytes:
    path = _text(kernel)
    node = struct.pack("<BBH", 4, 4, 4 + len(path)) + path + struct.pack("<BBH", 0x7F, 0xFF, 4)
    return struct.pack("<IH", 1, len(node)) + _text("guest") + node + _text(_OPTIONS)


def _variable(name: str, data: bytes) -> bytes:
    header = _HEADER.pack(0x55AA, 0x3F, 0, _KEPT, 0, bytes(16), 0, len(_text(name)), len(data), _GLOBAL)
    made = header + _text(name) + data
    return made + b"\xff" * (-len(made) % 4)


def _text(words: str) -> bytes:
    return f"{words}\0".encode("utf-16-le")
