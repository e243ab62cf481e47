"""What the host's probes make of what the kernel says."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from probes.cpu import read_cpu
from probes.filesystems import Parameters as FilesystemParameters
from probes.filesystems import choose_mounts, parse_mounts, read_filesystems
from probes.memory import read_memory
from probes.network import Parameters as NetworkParameters
from probes.network import read_network
from probes.processes import read_processes
from tests.unit.probes.visiting import Reader

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "Inter-|   Receive  |  Transmit\n face |bytes packets errs drop fifo frame compressed multicast|bytes …\n"


def write_stat(proc: Path, ticks: str, *, context_switches: int = 1000, forks: int = 50) -> None:
    (proc / "stat").write_text(
        f"cpu  {ticks}\ncpu0 {ticks}\ncpu1 {ticks}\nintr 500 1 2 3\nctxt {context_switches}\nbtime 1\n"
        f"processes {forks}\nprocs_running 3\nprocs_blocked 1\nsoftirq 1 2\n"
    )


def test_shares_of_processor_time_come_from_two_reads_and_add_up(tmp_path: Path) -> None:
    (tmp_path / "loadavg").write_text("0.50 0.25 0.10 1/234 999\n")
    write_stat(tmp_path, "100 0 100 800 0 0 0 0 0 0")
    reader = Reader(read_cpu, tmp_path)
    first = reader.read()
    assert first == {"cpu.load1": 0.5, "cpu.load5": 0.25, "cpu.load15": 0.1, "cpu.count": 2.0}
    write_stat(tmp_path, "130 10 110 830 10 5 5 10 0 0", context_switches=3000)
    second = reader.read(10)
    assert second["cpu.user"] == pytest.approx(36.3636, abs=1e-3)
    assert second["cpu.system"] == pytest.approx(18.1818, abs=1e-3)
    assert second["cpu.iowait"] == pytest.approx(9.0909, abs=1e-3)
    assert second["cpu.steal"] == pytest.approx(9.0909, abs=1e-3)
    assert second["cpu.idle"] == pytest.approx(27.2727, abs=1e-3)
    assert second["cpu.busy"] == pytest.approx(63.6363, abs=1e-3)
    assert second["cpu.context_switches"] == 200.0


def test_a_wait_time_that_runs_backwards_spoils_no_share(tmp_path: Path) -> None:
    (tmp_path / "loadavg").write_text("0 0 0 1/1 1\n")
    write_stat(tmp_path, "100 0 100 800 50 0 0 0 0 0")
    reader = Reader(read_cpu, tmp_path)
    reader.read()
    write_stat(tmp_path, "150 0 100 850 20 0 0 0 0 0")
    values = reader.read()
    assert (values["cpu.busy"], values["cpu.idle"], values["cpu.iowait"]) == (50.0, 50.0, 0.0)


def test_without_loadavg_the_shares_are_read_all_the_same(tmp_path: Path) -> None:
    write_stat(tmp_path, "100 0 100 800 0 0 0 0 0 0")
    reader = Reader(read_cpu, tmp_path)
    reader.read()
    write_stat(tmp_path, "150 0 100 850 0 0 0 0 0 0")
    assert reader.read()["cpu.busy"] == 50.0
    assert reader.failures == [f"{tmp_path}/loadavg: No such file or directory"]


def test_memory_is_told_in_bytes_and_an_absent_line_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text(
        "MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 250 kB\nBuffers: 1 kB\nCached: 2 kB\n"
        "SwapTotal: 400 kB\nSwapFree: 300 kB\nHugePages_Total: 0\n"
    )
    reader = Reader(read_memory, tmp_path)
    values = reader.read()
    assert values["memory.total"] == 1000 * 1024
    assert (values["memory.used_percent"], values["swap.used_percent"]) == (75.0, 25.0)
    assert reader.failures == [f"{tmp_path}/meminfo has no line Dirty"]


def test_a_host_without_swap_uses_none_of_it(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("SwapTotal: 0 kB\nSwapFree: 0 kB\n")
    assert Reader(read_memory, tmp_path).read()["swap.used_percent"] == 0.0


def write_interfaces(proc: Path, **received: int) -> None:
    (proc / "net").mkdir(exist_ok=True)
    lines = [f"{name:>6}: {total} 2 1 0 0 0 0 0 {2 * total} 4 2 3 0 0 0 0\n" for name, total in received.items()]
    (proc / "net/dev").write_text(HEAD + "".join(lines))


def test_network_rates_are_per_second_since_the_last_read_without_loopback_and_containers(tmp_path: Path) -> None:
    write_interfaces(tmp_path, lo=5, eth0=1000, veth12=7)
    reader = Reader(read_network, tmp_path)
    assert reader.read() == {}
    write_interfaces(tmp_path, lo=50, eth0=3000, veth12=70)
    values = reader.read(10)
    assert (values["network.received[eth0]"], values["network.sent[eth0]"]) == (200.0, 400.0)
    assert len(values) == 6


def test_a_counter_that_starts_anew_yields_no_rate_once(tmp_path: Path) -> None:
    reader = Reader(read_network, tmp_path)
    rates = []
    for total in (5000, 6000, 100, 1100):
        write_interfaces(tmp_path, eth0=total)
        rates.append(reader.read(10).get("network.received[eth0]"))
    assert rates == [None, 100.0, None, 100.0]


def test_an_interface_that_was_away_yields_no_rate_over_the_gap(tmp_path: Path) -> None:
    reader = Reader(read_network, tmp_path)
    for interfaces in ({"eth0": 1, "tun0": 10}, {"eth0": 1}, {"eth0": 1, "tun0": 9000}):
        write_interfaces(tmp_path, **interfaces)
        values = reader.read(10)
    assert "network.received[tun0]" not in values
    assert "network.received[eth0]" in values


def test_a_chosen_interface_that_is_not_there_is_named(tmp_path: Path) -> None:
    write_interfaces(tmp_path, eth0=1, lo=1)
    reader = Reader(read_network, tmp_path, NetworkParameters(interfaces=("lo", "eth9")))
    reader.read()
    assert set(reader.read()) == {
        f"network.{name}[lo]" for name in ("received", "sent", "received_packets", "sent_packets", "errors", "dropped")
    }
    assert reader.failures == ["there is no network interface eth9"]


def test_processes_are_the_numbered_folders_and_starts_a_rate(tmp_path: Path) -> None:
    for name in ("1", "22", "self", "net"):
        (tmp_path / name).mkdir()
    write_stat(tmp_path, "1 1 1 1 1 1 1 1", forks=50)
    reader = Reader(read_processes, tmp_path)
    assert reader.read() == {"processes.total": 2.0, "processes.running": 3.0, "processes.blocked": 1.0}
    write_stat(tmp_path, "1 1 1 1 1 1 1 1", forks=90)
    assert reader.read(10)["processes.started"] == 4.0


MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:5 / /dev rw - devtmpfs udev rw
24 23 0:20 / /dev/shm rw - tmpfs tmpfs rw
25 22 0:21 / /proc rw - proc proc rw
26 22 0:22 / /run rw - tmpfs tmpfs rw
27 26 0:23 / /run/user/1000 rw - tmpfs tmpfs rw
28 22 8:2 / /srv/my\\040data rw - xfs /dev/sda2 rw
29 22 8:2 /sub /mnt/bind/of/srv/data rw - xfs /dev/sda2 rw
30 22 0:40 / /mnt/nfs rw - nfs4 server:/x rw
31 22 0:41 / /var/lib/docker/overlay2/abc/merged rw - overlay overlay rw
32 22 0:42 / /other/merged rw - overlay overlay rw
33 22 0:43 / /tmp rw - tmpfs tmpfs rw
34 22 8:3 / /zz rw - ext4 /dev/sda3 rw
35 22 0:44 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw
"""


def test_only_filesystems_that_hold_data_are_chosen_once_each_and_remote_ones_last() -> None:
    chosen = choose_mounts(parse_mounts(MOUNTS), FilesystemParameters())
    assert [mount.point for mount in chosen] == ["/", "/zz", "/run", "/tmp", "/srv/my data", "/mnt/nfs"]  # noqa: S108 - a name


def test_the_overlay_at_a_containers_root_is_all_it_has() -> None:
    text = "1 0 0:9 / / rw - overlay overlay rw\n2 1 8:1 /x /etc/hosts rw - ext4 /dev/sda1 rw\n"
    assert next(mount.point for mount in choose_mounts(parse_mounts(text), FilesystemParameters())) == "/"


def test_a_mount_hides_an_earlier_one_at_the_same_point() -> None:
    text = "1 0 8:1 / /data rw - ext4 a rw\n2 1 8:2 / /data rw - xfs b rw\nnonsense\n"
    assert [(mount.device, mount.type) for mount in parse_mounts(text)] == [("8:2", "xfs")]


def test_named_mount_points_are_read_whatever_they_are_and_missing_ones_named(tmp_path: Path) -> None:
    reader = Reader(read_filesystems, parameters=FilesystemParameters(mounts=("/", str(tmp_path))))
    values = reader.read()
    assert values["filesystem.total[/]"]
    assert reader.failures == [f"nothing is mounted at {tmp_path}"]


def test_space_is_told_as_df_tells_it(tmp_path: Path) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self/mountinfo").write_text(
        f"1 0 8:1 / {tmp_path} rw - ext4 a rw\n2 0 8:9 / /nowhere/at/all rw - xfs b rw\n"
    )
    reader = Reader(read_filesystems, tmp_path)
    values = reader.read()
    status = os.statvfs(tmp_path)
    assert values[f"filesystem.total[{tmp_path}]"] == status.f_blocks * status.f_frsize
    assert 0 < float(values[f"filesystem.used_percent[{tmp_path}]"]) <= 100
    assert reader.failures == ["/nowhere/at/all: No such file or directory"]
