"""A real server in a PID namespace of its own, as containers have one, is found by its processes."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from probes.contained_servers import contained_servers
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path


def test_a_mariadb_in_a_pid_namespace_of_its_own_is_in_a_container(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    server = subprocess.Popen(
        [
            "unshare", "--pid", "--fork", "--kill-child", "--", "mariadbd", "--no-defaults", "--bootstrap",
            f"--datadir={tmp_path}/data", f"--aria-log-dir-path={tmp_path}/data", "--user=root", "--skip-innodb",
            "--default-storage-engine=MyISAM",
        ],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=os.environ | {"PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"},
    )  # fmt: skip
    try:  # it reads statements for as long as nobody ends its input
        wait_until(
            lambda: "mariadb" in {each.engine for each in contained_servers("/proc")}, what="the server in /proc"
        )
    finally:
        server.kill()
        server.communicate()
