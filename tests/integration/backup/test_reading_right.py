"""A host's backup reads files of all users though it is not root: duplicity alone gets the right to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support.backups import CHECKOUT, SET, change, next_due
from tests.support.reading_right import OTHER, run_as_user

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.backups import Site

_CHILDREN = """
import asyncio, os, pathlib, sys
from agent.backups.child import run_child
from core.runtime.reading_right import is_kept, put_away, reading_all
from watchkeep.up.children import Child

def can_read():
    try:
        open(sys.argv[1]).close()
    except PermissionError:
        return False
    return True

async def codes():
    cat = ["cat", sys.argv[1]]
    with reading_all():
        ended = [(await run_child(cat, 60, reads_all=reads_all))[0] for reads_all in (True, False)]
        for reads_all in (True, False):
            part = Child(name="cat", arguments=cat, log_file=pathlib.Path(os.devnull), reads_all=reads_all)
            await part.start()
            ended.append(await part.process.wait())
        return ended

found = [is_kept(), can_read()]
put_away()
found.append(can_read())
with reading_all():
    found.append(can_read())
found += asyncio.run(codes())
print(*found, can_read())
"""


_WITH_CHILD = """
import os, subprocess, sys
print(os.access(sys.argv[1], os.R_OK), subprocess.run(["cat", sys.argv[1]]).returncode)
"""

_EFFECTIVE = """
from core.runtime.reading_right import is_kept, put_away
put_away()
(mask,) = (line.split()[1] for line in open("/proc/thread-self/status") if line.startswith("CapEff"))
print(is_kept(), bool(int(mask, 16) & 4))
"""


def _hide(path: Path, text: str) -> Path:
    """Write a file that only another user may read, in a folder only that one may enter."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    path.parent.chmod(0o700)
    for each in (path, path.parent):
        os.chown(each, OTHER, OTHER)
    return path


def _run(site: Site, *, has_right: bool) -> subprocess.CompletedProcess[str]:
    due = next_due().isoformat()
    return run_as_user(site.command("host", "run", SET, "--json", "--due", due), has_right=has_right)


def test_files_of_every_user_are_saved_by_one_who_is_not_root_and_counted_where_that_is_not_allowed(site: Site) -> None:
    secret = _hide(site.data / "home" / "secret", "mine alone\n")
    without = _run(site, has_right=False)
    assert without.returncode == 0, without.stderr
    assert json.loads(without.stdout.splitlines()[-1])["unreadable"] == 1  # the folder
    os.chown(site.folder / f"host/state/{SET}.json", OTHER, OTHER)  # the namespace's user is root out here
    (advice,) = [each for each in json.loads(site.bkp("host", "doctor", "--json").stdout)["findings"]
                 if "CAP_DAC_READ_SEARCH" in each["remedy"]]  # fmt: skip
    assert (advice["level"], advice["text"]) == (
        "warning", f"1 entry of its last backup could not be read by user {OTHER}",
    )  # fmt: skip
    os.chown(site.folder / f"host/state/{SET}.json", 0, 0)

    change(secret, "mine alone, still\n")
    done = _run(site, has_right=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["unreadable"] == 0
    back = site.restore_plainly(site.folder / "back")
    assert (back / "home" / "secret").read_text() == "mine alone, still\n"


def test_no_other_source_and_no_program_it_starts_gets_the_right(site: Site) -> None:
    secret = _hide(site.data / "home" / "secret", "mine alone\n")
    file = site.file("host")
    lines = [line for line in file.read_text().splitlines() if not line.startswith("paths.")]
    file.write_text("\n".join([*lines, f'command.arguments = ["cat", "{secret}"]']))
    refused = _run(site, has_right=True)
    assert refused.returncode == 30, refused.stderr
    assert "Permission denied" in refused.stderr


def test_agent_and_up_give_the_right_to_the_child_that_needs_it_alone(site: Site) -> None:
    secret = _hide(site.data / "home" / "secret", "mine alone\n")
    found = run_as_user([sys.executable, "-c", _CHILDREN, str(secret)], has_right=True)
    assert found.stdout.split() == ["True", "True", "False", "True", "0", "1", "0", "1", "False"], found.stderr
    without = run_as_user([sys.executable, "-c", _CHILDREN, str(secret)], has_right=False)
    assert without.stdout.split() == ["False", "False", "False", "False", "1", "1", "1", "1", "False"], without.stderr


def test_what_duplicity_starts_does_not_get_the_right(site: Site) -> None:
    secret = _hide(site.data / "home" / "secret", "mine alone\n")
    duplicity = ["env", "WATCHKEEP_READS_ALL=1", "PYTHONPATH=backup/startup", sys.executable, "-c", _WITH_CHILD]
    found = run_as_user([*duplicity, str(secret)], has_right=True)
    assert found.stdout.split() == ["True", "1"], found.stderr


def test_root_whom_a_container_gives_the_right_keeps_it() -> None:
    root = ["setpriv", "--inh-caps=+dac_read_search", sys.executable, "-c", _EFFECTIVE]
    found = subprocess.run(root, cwd=CHECKOUT, capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.split() == ["False", "True"]


def test_the_doctor_examines_a_set_whose_root_it_cannot_see(site: Site) -> None:
    secret = _hide(site.data / "home" / "secret", "mine alone\n")
    with site.file("host").open("a") as file:
        file.write(f'[[sets]]\nname = "shut"\ntarget = "store"\npaths = {{roots = ["{secret}"], snapshot = "auto"}}\n')
    found = run_as_user(site.command("host", "doctor", "--json"), has_right=False)
    assert "set shut" in {each["what"] for each in json.loads(found.stdout)["findings"]}, found.stderr
