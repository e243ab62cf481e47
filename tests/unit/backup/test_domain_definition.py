"""What is read from libvirt's XML, and what a second domain's definition may not share with the first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from backup.errors import SourceFailed
from backup.restoring.machines import adapt
from backup.sources.disks.boot_files import save_boot_files
from backup.sources.disks.domain import TPM_LOST, parse, read_domain, read_firmware
from backup.sources.disks.domain_job import folder_for_sockets

MAIL = """<domain type='kvm'>
 <name>mail</name><uuid>308537d5-e8d9-4fbc-97dd-ac710d6e56af</uuid><genid>1</genid>
 <os firmware='efi'><type>hvm</type><loader readonly='yes' secure='yes' type='pflash'>/usr/share/OVMF/CODE.fd</loader>
  <nvram template='/usr/share/OVMF/VARS.fd'>/var/lib/libvirt/qemu/nvram/mail.fd</nvram></os>
 <devices>
  <disk type='block' device='disk'><driver name='qemu' type='raw'/><source dev='/dev/vg/mail'/><backingStore/>
   <target dev='vda' bus='virtio'/></disk>
  <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/srv/mail-2.qcow2'/>
   <target dev='vdb' bus='virtio'/></disk>
  <disk type='file' device='cdrom'><source file='/srv/debian.iso'/><target dev='sda' bus='sata'/></disk>
  <interface type='network'><mac address='52:54:00:11:22:33'/><source network='default'/></interface>
  <channel type='unix'><source mode='bind' path='/run/mail.agent'/><target type='virtio' name='org.qemu.guest_agent.0'/>
  </channel>
  <tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>
 </devices>
 <seclabel type='dynamic' model='dac' relabel='yes'><label>+64055:+108</label></seclabel>
</domain>"""


def test_disks_are_read_and_what_is_left_out_is_named() -> None:
    domain = read_domain(MAIL, ["vdb"], is_running=True)
    assert [(disk.name, disk.format, disk.source) for disk in domain.disks] == [("vda", "raw", "/dev/vg/mail")]
    assert domain.left_out == ("vdb", "sda")
    assert domain.not_saved == ("disk vdb, which is excluded", "the medium in drive sda (/srv/debian.iso)", TPM_LOST)
    assert domain.owner == (64055, 108)


def test_sockets_lie_where_libvirt_s_profile_lets_qemu_make_them(tmp_path: Path) -> None:
    domain = read_domain(MAIL.replace("<domain ", "<domain id='7' "), is_running=True)
    assert folder_for_sockets(domain, tmp_path / "exchange", tmp_path) == tmp_path / "exchange"
    for name in ("domain-7-mail", "domain-17-mail", "domain-7-mail2"):
        (tmp_path / name).mkdir()
    assert folder_for_sockets(domain, tmp_path / "exchange", tmp_path) == tmp_path / "domain-7-mail"
    assert folder_for_sockets(replace(domain, number=None), tmp_path, tmp_path) == tmp_path


def test_a_running_domain_without_its_variables_is_not_saved_and_one_never_started_has_none(tmp_path: Path) -> None:
    domain = read_domain(MAIL.replace("/var/lib/libvirt", str(tmp_path)), is_running=True)
    with pytest.raises(SourceFailed, match=r"mail\.fd, which the domain boots with"):
        save_boot_files(tmp_path / "boot", domain, parse(MAIL))
    assert save_boot_files(tmp_path / "boot", replace(domain, is_running=False), parse(MAIL)) == {}


def test_a_format_that_cannot_be_saved_says_how_to_leave_it_out() -> None:
    with pytest.raises(SourceFailed, match="`exclude`"):
        read_domain(MAIL.replace("type='qcow2'", "type='vmdk'"), is_running=True)


def test_a_second_domain_shares_no_address_image_or_medium_with_the_first(tmp_path: Path) -> None:
    top = Xml.fromstring(MAIL)  # noqa: S314 - ours
    lacking = adapt(top, "mail2", {"vda": Path("/srv/vm/mail2/disks/vda.raw")}, tmp_path)
    text = Xml.tostring(top, encoding="unicode")
    for first in (
        "308537d5",
        "52:54",
        "/dev/vg/mail",
        "/srv/mail-2",
        "debian.iso",
        "/run/mail.agent",
        "mail.fd",
        "genid",
    ):
        assert first not in text
    assert top.findtext("name") == "mail2"
    (disk,) = [each for each in top.iterfind("devices/disk") if each.get("device") == "disk"]
    source = disk.find("source")
    assert disk.get("type") == "file"
    assert source is not None
    assert source.get("file") == "/srv/vm/mail2/disks/vda.raw"
    assert lacking == ["disk vdb, which was not saved", "the medium in drive sda", TPM_LOST]


def test_a_disk_array_s_disk_is_not_left_out_in_silence() -> None:
    with pytest.raises(SourceFailed, match="vda is a lun"):
        read_domain(
            MAIL.replace("device='disk'><driver name='qemu' type='raw'", "device='lun'><driver name='qemu'"),
            is_running=True,
        )


def test_a_firmware_libvirt_chose_has_its_variables_where_libvirt_lays_them() -> None:
    chosen = read_firmware(parse("<domain><name>mail</name><os firmware='efi'><type>hvm</type></os></domain>"))
    assert chosen is not None
    assert (chosen.loader, chosen.nvram) == ("", "/var/lib/libvirt/qemu/nvram/mail_VARS.fd")
    assert read_firmware(parse("<domain><os><type>hvm</type><loader type='rom'>/x</loader></os></domain>")) is None


@pytest.mark.parametrize(("kind", "said"), [("raw", {}), ("qcow2", {"format": "qcow2"})])
def test_a_second_domain_has_the_variables_that_were_saved_in_their_format(
    tmp_path: Path, kind: str, said: dict[str, str]
) -> None:
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot/nvram").touch()
    for text in (MAIL, MAIL.replace("<nvram", "<!--").replace("</nvram>", "-->")):  # named by nobody: libvirt chose it
        top = parse(text)
        had = read_firmware(parse(MAIL))
        assert had is not None
        adapt(top, "mail2", {}, tmp_path, replace(had, nvram_format=kind))
        (place,) = top.findall("os/nvram")
        assert (place.text, place.attrib) == (str(tmp_path / "boot/nvram"), said)
