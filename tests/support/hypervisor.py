"""A real libvirt of the tests' own, beside any that this machine has: its sockets and folders are the tests'.

WATCHKEEP_TEST_LIBVIRT=URI has the tests use that one instead: deploy/confined-domains.sh does, in a machine of its own.

QEMU runs as a user of its own there, as it does where libvirt is installed for use, and emulates the processor.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).parents[2]
_START_SECONDS: Final = 300.0
_BOOT_SECONDS: Final = 300.0  # a busy machine emulates slowly
_QEMU: Final = """user = "libvirt-qemu"
group = "libvirt-qemu"
security_driver = "none"
cgroup_controllers = []
stdio_handler = "file"
"""
_FOLDERS: Final = ("/etc/libvirt", "/var/lib/libvirt", "/run/libvirt", "/var/log/libvirt")
# In a mount namespace, so that neither this machine's users nor its libvirt's folders change.
_DAEMON: Final = """
set -e
for folder in {folders}; do
    mkdir -p "$folder" "{top}$folder"
    mount --bind "{top}$folder" "$folder"
done
mkdir -p /var/cache/libvirt
mount --bind "{cache}" /var/cache/libvirt
mount --bind "{top}/passwd" /etc/passwd
mount --bind "{top}/group" /etc/group
# Where it is there but of no use, QEMU tries it for a minute; and of one that may be opened libvirt would ask QEMU anew
# each time whether it is of use.
if [ -e /dev/kvm ]; then
    mknod --mode=000 "{top}/no-kvm" c 1 3
    mount --bind "{top}/no-kvm" /dev/kvm
fi
exec libvirtd --config /etc/libvirt/libvirtd.conf --pid-file /run/libvirt/libvirtd.pid
"""
_DOMAIN: Final = """<domain type='qemu'>
 <name>{name}</name><memory unit='MiB'>256</memory><vcpu>1</vcpu>
{boot}
 <features><acpi/></features>
 <devices>
{disks}
  <disk type='file' device='cdrom'><target dev='hda' bus='ide'/></disk>
  <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
  <controller type='usb' model='none'/><controller type='scsi' model='virtio-scsi'/><memballoon model='none'/>
 </devices>
</domain>
"""
_BOOT: Final = """<os>
 <type arch='x86_64' machine='pc'>hvm</type><kernel>{guest}/kernel</kernel><initrd>{guest}/initrd.gz</initrd>
 <cmdline>console=ttyS0 quiet panic=1</cmdline>
</os>"""
_DISK: Final = (
    "<disk type='file' device='disk'><driver name='qemu' type='{kind}'/><source file='{file}'/>"
    "<target dev='{name}' bus='{bus}'/></disk>"
)


WITHOUT_KVM: Final = (
    "unshare", "--mount", "sh", "-c", '[ ! -e /dev/kvm ] || mount --bind /dev/null /dev/kvm; exec "$@"', "sh",
)  # fmt: skip
"""Makes a command run as where KVM is of no use and says so at once: one that fails late costs minutes."""
_BUSES: Final = {"v": "virtio", "s": "scsi"}


@dataclass(frozen=True, kw_only=True)
class Hypervisor:
    """A libvirt: `uri` for virsh; `folder` is one QEMU can enter."""

    uri: str
    folder: Path

    def virsh(self, *arguments: str, is_ok: bool = True) -> str:
        """Call virsh; fail unless it succeeds or may fail."""
        done = subprocess.run(
            ["virsh", f"--connect={self.uri}", "--quiet", *arguments],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=_START_SECONDS,
        )  # fmt: skip
        assert done.returncode == 0 or not is_ok, f"{arguments}: {done.stderr}"
        return done.stdout.strip()

    def define(self, name: str, disks: dict[str, Path], boot: str = _BOOT) -> None:
        """Define a domain that boots the counting guest from these images, by their target's names.

        A disk "sda" is seen by firmware, and not by the guest. boot: how libvirt is told to boot it.
        """
        kinds = {"vda": "qcow2"} | {each: file.suffix[1:] for each, file in disks.items()}
        lines = [
            _DISK.format(kind=kinds[each], file=file, name=each, bus=_BUSES[each[0]]) for each, file in disks.items()
        ]
        paper = self.folder / f"{name}.xml"
        boot = boot.format(guest=self.folder, variables=self.folder / f"{name}.fd")
        paper.write_text(_DOMAIN.format(name=name, boot=boot, disks="\n".join(lines)))
        self.virsh("define", str(paper))

    def ask(self, name: str, command: str, **arguments: Any) -> Any:
        """Ask the guest's agent; None when it does not answer."""
        order = json.dumps({"execute": command} | ({"arguments": arguments} if arguments else {}))
        text = self.virsh("qemu-agent-command", name, "--timeout", "60", order, is_ok=False)
        return json.loads(text)["return"] if text else None

    def start(self, name: str) -> None:
        """Start a domain and wait until its guest answers."""
        self.virsh("start", name)
        self.wait_for_guest(name)

    def wait_for_guest(self, name: str) -> None:
        wait_until(lambda: self.ask(name, "guest-ping") is not None, _BOOT_SECONDS, f"the guest of {name} answering")

    def read(self, name: str, path: str) -> str:
        """Return what a file of the guest says."""
        handle = self.ask(name, "guest-file-open", path=path)
        text = base64.b64decode(self.ask(name, "guest-file-read", handle=handle)["buf-b64"]).decode()
        self.ask(name, "guest-file-close", handle=handle)
        return text

    def counter(self, name: str) -> int:
        """Return how far the guest has counted on its first disk."""
        return int(self.read(name, "/data/counter"))

    def found(self, name: str) -> tuple[int, int]:
        """Return what stood on both disks when the guest came up."""
        first, second = self.read(name, "/run/found").split()
        return int(first), int(second)

    def wait_for_count(self, name: str, more: int = 3) -> int:
        """Wait until the guest has counted on; return how far."""
        begun = self.counter(name)
        wait_until(lambda: self.counter(name) >= begun + more, _BOOT_SECONDS, f"{name} counting")
        return self.counter(name)

    def job(self, name: str) -> str:
        """Return the backup job of a domain; empty without one."""
        return self.virsh("backup-dumpxml", name, is_ok=False)

    def remove(self, name: str) -> None:
        """End and forget a domain, its checkpoints too."""
        self.virsh("destroy", name, is_ok=False)
        self.virsh("undefine", name, "--checkpoints-metadata", "--nvram", is_ok=False)


def make_disk(file: Path, size: str, kind: str = "qcow2", *, is_formatted: bool = False) -> Path:
    """Make an image, with an empty file system in it if asked."""
    raw = file.with_name(f"{file.name}.new")
    subprocess.run(["truncate", "-s", size, raw], check=True)
    if is_formatted:
        subprocess.run(["/usr/sbin/mkfs.ext4", "-q", raw], check=True)
    subprocess.run(["qemu-img", "convert", "-O", kind, raw, file], check=True)
    raw.unlink()
    return file


def sum_of(image: Path, kind: str) -> str:
    """Return the digest of what a guest would read of an image."""
    pipe = subprocess.run(
        ["nbdcopy", "--", "[", "qemu-nbd", "--read-only", "-f", kind, image, "]", "-"],
        check=True, capture_output=True, timeout=_START_SECONDS,
    )  # fmt: skip
    return hashlib.sha256(pipe.stdout).hexdigest()


def lay_guest(folder: Path) -> Path:
    """Lay what the tests' guests boot into a folder."""
    made = subprocess.run(
        ["sh", CHECKOUT / "deploy/test-guest.sh"], check=True, stdout=subprocess.PIPE, text=True, timeout=1800
    )
    folder.mkdir(mode=0o755, exist_ok=True)
    for name in ("kernel", "initrd.gz"):
        shutil.copy(Path(made.stdout.strip()) / name, folder)
    return folder


@contextmanager
def _libvirt() -> Iterator[Hypervisor]:
    top = Path(tempfile.mkdtemp(prefix="wk-virt-"))
    top.chmod(0o711)  # QEMU's user goes through
    for folder in _FOLDERS:
        (top / folder[1:]).mkdir(parents=True)
    (top / "etc/libvirt/qemu.conf").write_text(_QEMU)
    (top / "etc/libvirt/libvirtd.conf").write_text('auth_unix_rw = "none"\n')
    for file, line in (
        ("passwd", "libvirt-qemu:x:64055:64055::/:/usr/sbin/nologin"),
        ("group", "libvirt-qemu:x:64055:"),
    ):
        kept = [each for each in Path(f"/etc/{file}").read_text().splitlines() if not each.startswith("libvirt-qemu:")]
        (top / file).write_text("\n".join([*kept, line, ""]))
    images = lay_guest(top / "images")
    cache = CHECKOUT / ".cache/libvirt"  # what QEMU can do, asked of it once: half a minute on a busy machine
    cache.mkdir(parents=True, exist_ok=True)
    script = _DAEMON.format(folders=" ".join(_FOLDERS), top=top, cache=cache)
    with (top / "log").open("wb") as log:
        daemon = subprocess.Popen(["unshare", "--mount", "sh", "-c", script], stdout=log, stderr=log)
        found = Hypervisor(uri=f"qemu+unix:///system?socket={top}/run/libvirt/libvirt-sock", folder=images)
        try:
            wait_until(
                lambda: daemon.poll() is not None or (top / "run/libvirt/libvirt-sock").is_socket(),
                _START_SECONDS, "libvirt's socket",
            )  # fmt: skip
            assert daemon.poll() is None, (top / "log").read_text()
            yield found
        finally:
            for name in found.virsh("list", "--all", "--name", is_ok=False).split():
                found.remove(name)
            daemon.terminate()
            daemon.wait(_START_SECONDS)
            shutil.rmtree(top, ignore_errors=True)


@pytest.fixture(scope="module")
def hypervisor() -> Iterator[Hypervisor]:
    if (uri := os.environ.get("WATCHKEEP_TEST_LIBVIRT")) is not None:
        yield Hypervisor(uri=uri, folder=lay_guest(Path("/var/lib/libvirt/images")))
        return
    with _libvirt() as found:
        yield found


@pytest.fixture(scope="module")
def counting(hypervisor: Hypervisor) -> str:
    """A running domain with two disks that counts on both."""
    disks = {
        "vda": make_disk(hypervisor.folder / "vda.qcow2", "64M", is_formatted=True),
        "vdb": make_disk(hypervisor.folder / "vdb.qcow2", "16M"),
    }
    hypervisor.define("counting", disks)
    hypervisor.start("counting")
    return "counting"
