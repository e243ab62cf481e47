"""Disks, swap, logins and chosen processes, from recorded text and from this host; what is chosen and what is not."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from probes.disks import Parameters as DiskParameters
from probes.disks import is_partition, parse_disks, read_disks
from probes.filesystems import Parameters as FilesystemParameters
from probes.filesystems import choose_mounts, parse_mounts
from probes.network import Parameters as NetworkParameters
from probes.network import read_network
from probes.process import Parameters as ProcessParameters
from probes.process import parse_stat
from probes.process import read_processes as read_process
from probes.swap import read_swap
from probes.uptime import read_uptime
from probes.users import parse_utmp, read_users
from tests.support.waiting import wait_until
from tests.unit.probes.test_host_probes import MOUNTS, write_interfaces
from tests.unit.probes.visiting import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DISKS = """\
   7       0 loop0 10 0 80 5 0 0 0 0 0 4 5
 259       0 nvme0n1 1000 5 80000 500 2000 6 160000 3000 1 900 3500 1 2 3 4
 259       1 nvme0n1p1 900 5 70000 400 1900 6 150000 2900 0 800 3300
   8       0 sda 50 0 400 25 0 0 0 0 0 20 25
   8      16 sdb 0 0 0 0 0 0 0 0 0 0 0
 202       1 xvda1 10 0 80 5 10 0 80 5 0 8 10
 253       0 dm-0 1 0 8 1 1 0 8 1 0 1 2
   1 short line
"""


def test_disks_are_told_in_bytes_waits_and_shares_of_time(tmp_path: Path) -> None:
    reader = Reader(read_disks, tmp_path)
    (tmp_path / "diskstats").write_text(DISKS)
    assert reader.read() == {f"disk.in_flight[{name}]": n for name, n in
                             (("nvme0n1", 1.0), ("sda", 0.0), ("xvda1", 0.0), ("dm-0", 0.0))}  # fmt: skip
    grown = "1100 5 80200 900 2100 6 160400 3400 7 5900 4300 1 2 3 4"
    (tmp_path / "diskstats").write_text(DISKS.replace("1000 5 80000 500 2000 6 160000 3000 1 900 3500 1 2 3 4", grown))
    values = reader.read(10)
    assert {key: value for key, value in values.items() if "nvme0n1" in key} == {
        "disk.reads[nvme0n1]": 10.0,
        "disk.writes[nvme0n1]": 10.0,
        "disk.read[nvme0n1]": 200 * 512 / 10,
        "disk.written[nvme0n1]": 400 * 512 / 10,
        "disk.wait[nvme0n1]": pytest.approx(0.004),
        "disk.busy[nvme0n1]": 50.0,
        "disk.in_flight[nvme0n1]": 7.0,
    }
    assert (values["disk.wait[sda]"], values["disk.busy[sda]"]) == (0.0, 0.0)


def test_a_disk_whose_counters_begin_anew_yields_no_rates_once(tmp_path: Path) -> None:
    reader = Reader(read_disks, tmp_path)
    (tmp_path / "diskstats").write_text(DISKS)
    reader.read()
    (tmp_path / "diskstats").write_text("8 0 sda 1 0 8 1 0 0 0 0 0 1 1\n")
    assert not {"disk.reads[sda]", "disk.read[sda]", "disk.wait[sda]", "disk.busy[sda]"} & reader.read().keys()


@pytest.mark.parametrize(
    ("name", "names", "is_part"),
    [
        ("sda1", ["sda", "sda1"], True), ("nvme0n1p2", ["nvme0n1"], True), ("mmcblk0p1", ["mmcblk0"], True),
        ("nvme0n1", ["nvme0n1"], False), ("xvda1", ["xvda1"], False), ("md0", ["md0"], False),
        ("dm-1", ["dm-0", "dm-1"], False), ("sdap1", ["sda"], False),
    ],
)  # fmt: skip
def test_a_partition_is_known_by_its_disk(name: str, names: list[str], is_part: bool) -> None:
    assert is_partition(name, {each: [] for each in names}) == is_part


def test_which_disks_are_read_is_chosen_by_expressions(tmp_path: Path) -> None:
    (tmp_path / "diskstats").write_text(DISKS)

    def chosen(**parameters: object) -> set[str]:
        reader = Reader(read_disks, tmp_path, DiskParameters(**parameters))  # type: ignore[arg-type]  # by name
        return {key.partition("[")[2].rstrip("]") for key in reader.read()}

    assert chosen(partitions=True) == {"nvme0n1", "nvme0n1p1", "sda", "xvda1", "dm-0"}
    assert chosen(include=("^nvme", "^sd")) == {"nvme0n1", "sda"}
    assert chosen(exclude=()) == {"loop0", "nvme0n1", "sda", "xvda1", "dm-0"}
    assert len(parse_disks(DISKS)) == 7


def test_interfaces_are_chosen_by_expressions(tmp_path: Path) -> None:
    write_interfaces(tmp_path, lo=1, eth0=1, veth1=1, wlan0=1)

    def chosen(**parameters: object) -> set[str]:
        reader = Reader(read_network, tmp_path, NetworkParameters(**parameters))  # type: ignore[arg-type]  # by name
        reader.read()
        return {key.partition("[")[2].rstrip("]") for key in reader.read()}

    assert chosen() == {"eth0", "wlan0"}
    assert chosen(include=("^eth",)) == {"eth0"}
    assert chosen(exclude=("^wlan",)) == {"lo", "eth0", "veth1"}


@pytest.mark.parametrize(
    ("parameters", "points"),
    [
        ({"exclude": ("^/srv", "^/tmp")}, ["/", "/zz", "/run", "/mnt/nfs"]),
        ({"exclude_types": ("^tmpfs$", "^nfs")}, ["/", "/zz", "/srv/my data"]),
        ({"include": ("^/proc$",)}, ["/proc"]),
        ({"include_types": ("overlay",)}, ["/other/merged", "/var/lib/docker/overlay2/abc/merged"]),
        ({"include": ("^/srv|bind",)}, ["/srv/my data"]),
        ({"include": ("bind",)}, ["/mnt/bind/of/srv/data"]),
    ],
)
def test_filesystems_are_chosen_by_point_and_type(parameters: dict[str, tuple[str, ...]], points: list[str]) -> None:
    chosen = choose_mounts(parse_mounts(MOUNTS), FilesystemParameters(**parameters))
    assert [mount.point for mount in chosen] == points


def test_swap_goes_in_and_out_by_pages(tmp_path: Path) -> None:
    reader = Reader(read_swap, tmp_path)
    (tmp_path / "vmstat").write_text("nr_free_pages 7\npswpin 100\npswpout 200\npswpin_zero 9\n")
    assert reader.read() == {}
    (tmp_path / "vmstat").write_text("nr_free_pages 7\npswpin 110\npswpout 220\npswpin_zero 9\n")
    page = os.sysconf("SC_PAGE_SIZE")
    assert reader.read(10) == {"swap.in": float(page), "swap.out": 2.0 * page}


def test_uptime_is_the_kernels(tmp_path: Path) -> None:
    (tmp_path / "uptime").write_text("350735.47 234388.90\n")
    assert Reader(read_uptime, tmp_path).read() == {"host.uptime": 350735.47}


def utmp_entry(kind: int, process: int, user: str) -> bytes:
    head = struct.pack("=hxxi32s4s32s256s", kind, process, b"pts/0", b"ts/0", user.encode(), b"10.0.0.1")
    wide = os.uname().machine in ("aarch64", "riscv64", "loongarch64")
    return head + bytes(68 if wide else 52)


def test_sessions_whose_process_lives_are_counted_and_a_login_is_news(tmp_path: Path) -> None:
    run = tmp_path / "1/root/run"
    run.mkdir(parents=True)
    for pid in ("10", "11", "12"):
        (tmp_path / pid).mkdir()
    reader = Reader(read_users, tmp_path)
    assert reader.read() == {"users.sessions": 0.0, "users.distinct": 0.0, "users.names": ""}
    assert not reader.has_news()
    entries = [(7, 10, "ann"), (7, 11, "ann"), (7, 12, "bob"), (7, 99, "gone"), (8, 10, "ended"), (2, 0, "reboot")]
    (run / "utmp").write_bytes(b"".join(utmp_entry(*entry) for entry in entries) + b"torn")
    assert reader.has_news()
    assert reader.read() == {"users.sessions": 3.0, "users.distinct": 2.0, "users.names": "ann bob"}
    assert not reader.has_news()


def test_the_wide_form_of_utmp_is_read_on_machines_that_write_it() -> None:
    entry = struct.pack("=hxxi32s4s32s256s", 7, 10, b"", b"", b"ann", b"") + bytes(68)
    assert parse_utmp(entry * 2, "aarch64") == [("ann", 10), ("ann", 10)]


def test_without_utmp_the_sessions_of_logind_are_counted(tmp_path: Path) -> None:
    sessions = tmp_path / "1/root/run/systemd/sessions"
    sessions.mkdir(parents=True)
    (sessions / "1").write_text("# private\nUID=1000\nUSER=ann\nCLASS=user\n")
    (sessions / "2").write_text("USER=ann\nCLASS=manager\n")
    (sessions / "c1.ref").write_text("")
    assert Reader(read_users, tmp_path).read()["users.sessions"] == 1.0


STAT = "77 (odd) name ( ) S 1 77 77 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 3 0 5000 1000000 256 1 2 3"


def test_a_process_may_have_any_name() -> None:
    found = parse_stat(STAT)
    assert (found.pid, found.name, found.cpu_ticks, found.threads) == ("77", "odd) name ( ", 200, 3)
    assert (found.started_ticks, found.resident_pages) == (5000, 256)


def write_process(proc: Path, pid: int, name: str, command: str, ticks: int = 0) -> None:
    (proc / str(pid)).mkdir(exist_ok=True)
    (proc / f"{pid}/stat").write_text(f"{pid} ({name}) S 1 1 1 0 -1 1 1 0 0 0 {ticks} 0 0 0 20 0 2 0 {pid}00 1 10 1 2")
    (proc / f"{pid}/cmdline").write_text(command.replace(" ", "\0") + ("\0" if command else ""))


def test_processes_are_chosen_by_name_or_command_and_summed_up(tmp_path: Path) -> None:
    (tmp_path / "uptime").write_text("1000.00 1\n")
    write_process(tmp_path, 5, "nginx", "nginx: master process", 100)
    write_process(tmp_path, 6, "nginx", "nginx: worker process", 100)
    write_process(tmp_path, 7, "watchkeep-serve", "/usr/bin/watchkeep-server --config x", 5)
    write_process(tmp_path, 8, "kworker/0:1", "", 5)
    reader = Reader(read_process, tmp_path, ProcessParameters(name="nginx"))
    values = reader.read()
    assert (values["process.count[nginx]"], values["process.threads[nginx]"]) == (2.0, 4.0)
    assert values["process.memory[nginx]"] == 20 * os.sysconf("SC_PAGE_SIZE")
    assert values["process.age[nginx]"] == 1000 - 500 / os.sysconf("SC_CLK_TCK")
    assert "process.cpu[nginx]" not in values
    write_process(tmp_path, 5, "nginx", "nginx: master process", 100 + 2 * os.sysconf("SC_CLK_TCK"))
    (tmp_path / "6/stat").unlink()
    write_process(tmp_path, 9, "nginx", "nginx: worker process", 1_000_000)
    assert reader.read(10)["process.cpu[nginx]"] == pytest.approx(20.0)

    def count(name: str, command: str | None = None) -> float | str:
        chosen = ProcessParameters(name=name, command=command)
        return Reader(read_process, tmp_path, chosen).read()[f"process.count[{name}]"]

    assert count(name="workers", command="^nginx: worker") == 1.0
    assert count(name="watchkeep-server") == 1.0
    assert count(name="kernel", command=r"^\[kworker") == 1.0
    assert count(name="absent") == 0.0


@pytest.fixture
def busy_child() -> Iterator[subprocess.Popen[bytes]]:
    code = "import sys, os\nf = open(os.devnull); print(flush=True)\nwhile True: sum(range(10000))"
    child = subprocess.Popen([sys.executable, "-c", code, "a-mark-of-the-test"], stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        child.stdout.readline()
        yield child
    finally:
        child.kill()
        child.communicate()


def test_a_real_process_is_found_and_measured(busy_child: subprocess.Popen[bytes]) -> None:
    parameters = ProcessParameters(name="mine", command="a-mark-of-the-test$", pss=True, open_files=True)
    reader = Reader(read_process, parameters=parameters)
    values = reader.read()
    assert reader.failures == []
    assert values["process.count[mine]"] == 1.0
    assert 1e6 < float(values["process.memory_pss[mine]"]) <= float(values["process.memory[mine]"])
    assert float(values["process.open_files[mine]"]) >= 4
    assert 0 <= float(values["process.age[mine]"]) < 600

    def has_used_time() -> bool:
        return float(reader.read(1.0).get("process.cpu[mine]", 0.0)) > 0

    wait_until(has_used_time, what="processor time")
    busy_child.kill()
    busy_child.wait()
    assert reader.read() == {"process.count[mine]": 0.0}
