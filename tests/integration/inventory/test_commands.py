"""`watchkeep apply` and `watchkeep diff` as an operator calls them, against a real database."""

from __future__ import annotations

import getpass
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from server.inventory.apply import apply, check_documents, propose
from server.inventory.check import documents_from_plain
from server.store.audit import AuditFilter, read_audit
from server.store.definitions import Author

if TYPE_CHECKING:
    from pathlib import Path

    from server.store.database import Database

FILE = """\
kind: template
name: t
items:
  - {probe: cpu, every: 10s}
triggers:
  - name: Busy
    expression: avg(cpu.busy, 5m) > 90
    severity: warning
---
kind: host
name: db1
templates: [t]
"""


def watchkeep(data: Path, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "watchkeep", *arguments, "--data", str(data)]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=180)


def test_diff_then_apply_then_nothing_differs(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "definitions"
    (folder / "deep").mkdir(parents=True)
    path = folder / "deep" / "a.yaml"
    path.write_text(FILE)
    shown = watchkeep(data, "diff", str(folder))
    assert (shown.returncode, shown.stderr) == (1, "")
    assert "+ template t" in shown.stdout
    assert "+ host db1" in shown.stdout
    applied = watchkeep(data, "apply", str(folder))
    assert (applied.returncode, applied.stderr) == (0, "")
    assert "2 created; revision 1" in applied.stdout
    assert watchkeep(data, "diff", str(folder)).returncode == 0
    path.write_text(FILE.replace("> 90", "> 80"))
    shown = watchkeep(data, "diff", str(folder))
    assert shown.returncode == 1
    assert '- "avg(cpu.busy, 5m) > 90"' in shown.stdout
    assert '+ "avg(cpu.busy, 5m) > 80"' in shown.stdout
    path.write_text(FILE.split("---", maxsplit=1)[0])
    assert watchkeep(data, "diff", str(folder)).returncode == 0
    pruned = watchkeep(data, "apply", "--prune", str(folder))
    assert pruned.returncode == 0
    assert "- host db1" in pruned.stdout


def test_a_fault_changes_nothing_and_ends_with_2(data: Path) -> None:
    wrong = FILE.replace("cpu.busy", "cpu.bsuy").replace("[t]", "[tt]")
    applied = watchkeep(data, "apply", "-", stdin=wrong)
    assert applied.returncode == 2
    assert "(standard input):7:5: triggers[0].expression: no item of this template gives 'cpu.bsuy'" in applied.stderr
    assert "(standard input):12:13: templates[0]: host 'db1' names the template 'tt'" in applied.stderr
    assert "Did you mean 'cpu.busy'?" in applied.stderr
    told = json.loads(watchkeep(data, "diff", "--json", "-", stdin=FILE).stdout)
    assert [change["action"] for change in told["changes"]] == ["create", "create"]


def test_an_escalation_that_takes_a_receivers_other_problems_from_it_says_so(data: Path) -> None:
    receiver = "kind: receiver\nname: anna\nwebhook: {url: 'https://chat.example.org/hook'}\n"
    assert watchkeep(data, "apply", "-", stdin=receiver).returncode == 0
    night = receiver + "---\nkind: escalation\nname: night\nsteps:\n  - tell: [anna]\n"
    told = "receiver anna will be told by escalation night only: of all other problems it hears no more"
    assert f"! {told}" in watchkeep(data, "diff", "-", stdin=night).stdout
    assert json.loads(watchkeep(data, "diff", "--json", "-", stdin=night).stdout)["consequences"] == [told]
    assert f"! {told}" in watchkeep(data, "apply", "-", stdin=night).stdout
    assert "told" not in watchkeep(data, "diff", "-", stdin=night).stdout


async def test_a_change_of_the_page_is_overwritten_only_when_asked_to(data: Path, database: Database) -> None:
    assert watchkeep(data, "apply", "-", stdin=FILE).returncode == 0
    edited = {"kind": "host", "name": "db1", "templates": ["t"], "tags": {"rack": "a4"}}
    proposal = await propose(database, check_documents(documents_from_plain([edited])), via="web")
    await apply(database, proposal, Author(name="ann", via="web"))
    refused = watchkeep(data, "apply", "-", stdin=FILE)
    assert refused.returncode == 2
    assert "host db1 by ann" in refused.stderr
    assert "--overwrite" in refused.stderr
    assert watchkeep(data, "apply", "--overwrite", "-", stdin=FILE).returncode == 0
    assert watchkeep(data, "diff", "-", stdin=FILE).returncode == 0


async def test_applied_files_stand_in_the_audit_log_with_who_ran_the_command(data: Path, database: Database) -> None:
    assert watchkeep(data, "apply", "-", stdin=FILE).returncode == 0
    assert watchkeep(data, "apply", "-", stdin=FILE).returncode == 0
    async with database.connection() as connection:
        found = await read_audit(connection, AuditFilter(action="definitions.change"))
    assert [(entry.actor, entry.object) for entry in found] == [
        (f"watchkeep apply ({getpass.getuser()})", "create template/t, create host/db1")
    ]


@pytest.mark.parametrize("command", ["apply", "diff"])
def test_a_database_that_is_away_is_said_in_a_sentence(data: Path, command: str) -> None:
    path = data / "installation.json"
    found = json.loads(path.read_text())
    path.write_text(json.dumps(found | {"dsn": "host=127.0.0.1 port=9 user=x password=hidden dbname=x"}))
    done = watchkeep(data, command, "-", stdin=FILE)
    assert done.returncode == 2
    assert "database" in done.stderr
    assert "Traceback" not in done.stderr
    assert "hidden" not in done.stderr
