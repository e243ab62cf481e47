"""A user that is not root, with and without the right to read every file, beside whom there is another one."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.backups import CHECKOUT
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

OTHER = 12345
_LIMIT_SECONDS = 240.0
_USERS = f"1000 0 1\n2000 {OTHER} 1\n"


def run_as_user(command: Sequence[str], *, has_right: bool) -> subprocess.CompletedProcess[str]:
    """Run a program as user 1000 of a namespace, to whom belongs what is root's; 2000 in there is OTHER.

    It has no right of root, but that of reading every file of the two, as a service manager gives it, with `has_right`.
    """
    rights = "-all,+dac_read_search" if has_right else "-all"
    to_the_end = 'read -r _ && exec "$@"'
    with subprocess.Popen(
        [
            "unshare", "--user", "--keep-caps", "sh", "-c", to_the_end, "sh",
            "setpriv", f"--inh-caps={rights}", f"--ambient-caps={rights}", "--", *command,
        ],
        cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        try:
            place, ours = Path(f"/proc/{child.pid}"), Path("/proc/self/ns/user").readlink()
            wait_until(lambda: (place / "ns/user").readlink() != ours, what="the namespace")
            for ids in ("uid_map", "gid_map"):
                (place / ids).write_text(_USERS)
            output, words = child.communicate("\n", timeout=_LIMIT_SECONDS)
        finally:
            child.kill()
    return subprocess.CompletedProcess(command, child.returncode, output, words)
