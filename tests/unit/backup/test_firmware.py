"""Which UEFI a restored guest is booted with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from backup.errors import BackupDamaged, DrillFailed
from backup.proof import firmware as room
from backup.proof.firmware import choose_flash
from backup.sources.disks.domain import Firmware, recorded_firmware

if TYPE_CHECKING:
    from pathlib import Path

_HAD = Firmware(loader="/gone/CODE.fd", format="raw", nvram="/gone/VARS.fd", nvram_format="raw", is_secure=False)


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with a small firmware, a large one, and a large one with Secure Boot."""
    for name, size, features in (("10-small", 1, []), ("20-secure", 2, ["requires-smm"]), ("30-large", 2, [])):
        (tmp_path / f"{name}.code").touch()
        (tmp_path / f"{name}.vars").write_bytes(bytes(size))
        said = {
            "interface-types": ["uefi"],
            "mapping": {
                "device": "flash",
                "executable": {"filename": f"{tmp_path}/{name}.code", "format": "raw"},
                "nvram-template": {"filename": f"{tmp_path}/{name}.vars", "format": "raw"},
            },
            "targets": [{"architecture": "x86_64", "machines": ["pc-q35-*"]}],
            "features": features,
        }
        (tmp_path / f"{name}.json").write_text(json.dumps(said))
    monkeypatch.setattr(room, "_DESCRIPTORS", (tmp_path,))
    (tmp_path / "nvram").write_bytes(bytes(2))
    return tmp_path


@pytest.mark.parametrize(("is_secure", "chosen"), [(False, "30-large"), (True, "20-secure")])
def test_another_machine_s_firmware_stands_in_that_is_as_secure_and_has_as_large_variables(
    there: Path, is_secure: bool, chosen: str
) -> None:
    had = Firmware(loader=_HAD.loader, format="raw", nvram="", nvram_format="raw", is_secure=is_secure)
    flash = choose_flash(had, there / "nvram", "pc-q35-7.2", "x86_64")
    assert flash.firmware.loader == f"{there}/{chosen}.code"
    assert flash.variables == there / "nvram"
    assert ("smm=on" in flash.machine_options()) is is_secure


def test_where_no_firmware_fits_it_says_what_to_install(there: Path) -> None:
    (there / "nvram").write_bytes(bytes(3))
    for machine, variables in (("pc-q35-7.2", "nvram"), ("virt-7.2", "none")):
        with pytest.raises(DrillFailed, match=r"/gone/CODE.fd.*Debian: ovmf"):
            choose_flash(_HAD, there / variables, machine, "x86_64")


def test_a_manifest_names_no_format_that_qemu_would_open_as_something_else() -> None:
    said = {"loader": "", "format": "raw", "nvram": "", "nvram_format": "vmdk", "is_secure": False}
    with pytest.raises(BackupDamaged):
        recorded_firmware({"firmware": said})
    assert recorded_firmware({}) is None
