"""Which database servers in containers are found, by what /proc and the containers' own files say."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from probes.contained_servers import UNNAMED, contained_servers

if TYPE_CHECKING:
    from pathlib import Path

DOCKER, PODMAN, OWN = (letter * 64 for letter in "abc")


class Proc:
    """A folder in the form of /proc (proc(5), cgroups(7))."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._last = folder, 100
        self.add("self", "agent", "0::/system.slice/watchkeep-agent.service")

    def add(self, pid: str | None, comm: str, cgroup: str, inside: str = "") -> None:
        self._last += 1
        process = self.folder / (pid or str(self._last))
        process.mkdir(parents=True)
        (process / "comm").write_text(f"{comm}\n")
        (process / "cgroup").write_text(f"{cgroup}\n")
        (process / "status").write_text(f"Name:\t{comm}\nNSpid:\t{self._last}{inside}\n")

    def found(self, root: Path) -> list[tuple[str, str]]:
        return [(each.engine, each.container) for each in contained_servers(str(self.folder), root)]


@pytest.mark.parametrize(
    ("cgroup", "container"),
    [
        (f"0::/system.slice/docker-{DOCKER}.scope", "aaaaaaaaaaaa"),
        (f"12:memory:/docker/{DOCKER}\n1:name=systemd:/docker/{DOCKER}", "aaaaaaaaaaaa"),
        (f"0::/machine.slice/libpod-{PODMAN}.scope/container", "bbbbbbbbbbbb"),
        (f"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{PODMAN}.scope", "bbbbbbbbbbbb"),
        ("0::/lxc.payload.shop/init.scope/system.slice/mariadb.service", "shop"),
        ("12:pids:/lxc/shop/system.slice/mariadb.service", "shop"),
        ("0::/machine.slice/machine-shop\\x2d1.scope/payload/system.slice/mariadb.service", "shop-1"),
        ("0::/machine.slice/systemd-nspawn@shop.service/payload", "shop"),
        ("0::/user.slice", UNNAMED),
    ],
)
def test_a_server_in_a_container_is_named_by_its_control_group(tmp_path: Path, cgroup: str, container: str) -> None:
    proc = Proc(tmp_path / "proc")
    for _ in range(2):  # a PostgreSQL is many processes
        proc.add(None, "postgres", cgroup, "\t1")
    proc.add(None, "sleep", cgroup, "\t7")
    assert proc.found(tmp_path) == [("postgresql", container)]


def test_a_container_with_our_process_numbers_is_one_and_neither_the_host_nor_our_own_container_is(
    tmp_path: Path,
) -> None:
    proc = Proc(tmp_path / "proc")
    proc.add(None, "mariadbd", "0::/system.slice/mariadb.service")
    proc.add(None, "mysqld", f"0::/system.slice/docker-{DOCKER}.scope")
    assert proc.found(tmp_path) == [("mysql", "aaaaaaaaaaaa")]
    inside = Proc(tmp_path / "inside")
    shutil.rmtree(inside.folder / "self")
    inside.add("self", "agent", f"0::/docker/{OWN}")
    inside.add(None, "postgres", f"0::/docker/{OWN}")
    assert inside.found(tmp_path) == []


def test_the_names_that_docker_and_podman_keep_are_told_where_they_may_be_read(tmp_path: Path) -> None:
    proc = Proc(tmp_path / "proc")
    proc.add(None, "postgres", f"0::/system.slice/docker-{DOCKER}.scope", "\t1")
    proc.add(None, "mariadbd", f"0::/machine.slice/libpod-{PODMAN}.scope", "\t1")
    docker = tmp_path / "var/lib/docker/containers" / DOCKER / "config.v2.json"
    podman = tmp_path / "var/lib/containers/storage/overlay-containers/containers.json"
    for file, content in ((docker, {"Name": "/shop-db"}), (podman, [{"id": PODMAN, "names": ["wiki-db"]}])):
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(content))
    assert proc.found(tmp_path) == [("mariadb", "wiki-db"), ("postgresql", "shop-db")]
    docker.write_text("{")
    podman.write_text("[3]")
    assert proc.found(tmp_path) == [("mariadb", "bbbbbbbbbbbb"), ("postgresql", "aaaaaaaaaaaa")]
