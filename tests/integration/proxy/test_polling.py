"""Real devices, polled by a real proxy, up to the database: they are found, one dies, the rest goes on."""

from __future__ import annotations

import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from server.inventory.apply import apply, check_documents, install_shipped, propose
from server.inventory.yaml import read_yaml
from server.store.database import Database
from server.store.definitions import Author
from tests.support.devices import AUTH, COMMUNITY, PRIVACY, USER, Snmpd, Sshd, device_folder
from tests.support.postgres import patient
from tests.trials.site import PROXIES
from tests.trials.stack import running_stack, until_true

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.support.devices import Daemon
    from tests.trials.stack import Stack

pytestmark = pytest.mark.timeout(600)

DEFINITIONS = """
kind: template
name: polled-snmp
items:
  - probe: snmp.get
    every: 1s
    parameters:
      objects:
        - {{name: name, oid: 1.3.6.1.2.1.1.5.0, type: text}}
        - {{name: packets, oid: 1.3.6.1.2.1.11.1.0, type: counter}}
        - {{name: users, oid: 1.3.6.1.2.1.25.1.5.0}}
  - probe: snmp.interfaces
    every: 1s
    parameters: {{exclude: []}}
triggers:
  - {{name: Silent by SNMP, expression: "last(poll.available[snmp]) < 1", severity: high}}
---
kind: template
name: polled-ssh
items:
  - {{probe: ssh.command, every: 1s, parameters: {{name: answer, command: [echo, "42"]}}}}
  - {{probe: ssh.command, every: 1s, parameters: {{name: quoted, command: [printf, "a;b 7"], output: lines}}}}
triggers:
  - {{name: Silent by SSH, expression: "last(poll.available[ssh]) < 1", severity: high}}
---
kind: host
name: switch1
templates: [polled-snmp]
polling: {{address: 127.0.0.1, snmp: {{port: {snmp1}, community_file: community, timeout_seconds: 1}}}}
---
kind: host
name: switch2
templates: [polled-snmp, snmp-interfaces]
polling:
  address: 127.0.0.1
  snmp: {{port: {snmp2}, version: 3, user: {user}, auth_file: auth, privacy_file: privacy}}
---
kind: host
name: box
templates: [polled-ssh]
polling:
  address: 127.0.0.1
  ssh: {{port: {ssh}, user: {login}, key_file: key, host_key: "{host_key}"}}
---
kind: host
name: impostor
templates: [polled-ssh]
polling:
  address: 127.0.0.1
  ssh: {{port: {ssh}, user: {login}, key_file: key, host_key: "SHA256:{wrong}"}}
"""


@pytest.fixture
def devices() -> Iterator[dict[str, Any]]:
    folder = device_folder()
    started: dict[str, Daemon] = {"switch1": Snmpd(folder / "1"), "switch2": Snmpd(folder / "2")}
    try:
        started["box"] = Sshd(folder / "ssh")
        for each in started.values():
            each.start()
        yield started
    finally:
        for each in started.values():
            each.stop()
        shutil.rmtree(folder)


def give_secrets(folder: Path, key: str) -> None:
    folder.mkdir(parents=True)
    secrets = {"community": COMMUNITY, "auth": AUTH, "privacy": PRIVACY, "key": key}
    for name, content in secrets.items():
        (folder / name).write_text(content + "\n")


@asynccontextmanager
async def polling(devices: dict[str, Any]) -> AsyncIterator[Stack]:
    async with running_stack(sources=1, has_load=False) as stack:
        for proxy in PROXIES:
            give_secrets(stack.site.data(proxy) / "secrets", devices["box"].user_key)
        text = DEFINITIONS.format(
            snmp1=devices["switch1"].port,
            snmp2=devices["switch2"].port,
            user=USER,
            ssh=devices["box"].port,
            login=devices["box"].user,
            host_key=devices["box"].host_key,
            wrong="A" * 43,
        )
        documents, faults = read_yaml(text, "polled.yaml")
        async with Database(patient(stack.dsn, "test"), purpose="test") as database:
            await install_shipped(database)
            proposal = await propose(database, check_documents(documents), via="file")
            assert not [*faults, *proposal.faults], [*faults, *proposal.faults]
            await apply(database, proposal, Author(name="test", via="file"))
        yield stack


async def newest(stack: Stack, host: str, key: str) -> tuple[int, Any]:
    """Return how many values an item has, and the newest."""
    rows = await stack.query(
        "SELECT s.at, s.value::text FROM samples s JOIN item i ON i.id = s.item_id JOIN host h ON h.id = i.host_id"
        " WHERE h.name = %s AND i.key = %s UNION ALL"
        " SELECT t.at, t.value FROM history_text t JOIN item i ON i.id = t.item_id JOIN host h ON h.id = i.host_id"
        " WHERE h.name = %s AND i.key = %s ORDER BY 1",
        (host, key, host, key),
    )
    return len(rows), rows[-1][1] if rows else None


async def await_value(stack: Stack, host: str, key: str, *, text: str = "", more_than: int = 0) -> None:
    async def look() -> bool:
        count, value = await newest(stack, host, key)
        return count > more_than and text in str(value)

    await until_true(look, 120, f"{key} of {host} with {text!r}")


async def await_problems(stack: Stack, *hosts: str) -> None:
    async def look() -> bool:
        rows = await stack.query(
            "SELECT h.name FROM problem p JOIN host h ON h.id = p.host_id WHERE p.resolved_at IS NULL ORDER BY 1"
        )
        return [name for (name,) in rows] == sorted(hosts)

    await until_true(look, 120, f"problems of {hosts}")


async def test_devices_are_polled_up_to_the_database_and_one_that_dies_opens_its_problem_only(
    devices: dict[str, Any],
) -> None:
    async with polling(devices) as stack:
        for switch in ("switch1", "switch2"):
            await await_value(stack, switch, "snmp.text[name]", text="a-device")
            await await_value(stack, switch, "snmp.rate[packets]")
            await await_value(stack, switch, "snmp.interface.in_octets_rate[lo]")
            await await_value(stack, switch, "poll.available[snmp]", text="1")
        await await_value(stack, "box", "ssh.value[answer]", text="42")
        await await_value(stack, "box", "ssh.value[a;b]", text="7")
        await await_value(stack, "impostor", "poll.status[ssh.command]", text="another machine answers")
        await await_problems(stack)
        ((pollers,),) = await stack.query(
            "SELECT count(*) FROM (SELECT h.id FROM item_source s JOIN item i ON i.id = s.item_id JOIN host h"
            " ON h.id = i.host_id WHERE i.key LIKE 'poll.%' GROUP BY h.id HAVING count(DISTINCT source_id) <> 1) x"
        )
        assert pollers == 0, "a host was polled by two proxies"

        devices["switch1"].freeze()
        devices["box"].stop()
        await await_problems(stack, "box", "impostor", "switch1")
        await await_value(stack, "switch1", "poll.status[snmp.get]", text="no answer")
        await await_value(stack, "switch1", "poll.status[snmp.interfaces]", text="no answer")
        await await_value(stack, "box", "poll.status[ssh.command]", text="SSH")
        count, _ = await newest(stack, "switch2", "snmp.rate[packets]")
        await await_value(stack, "switch2", "snmp.rate[packets]", more_than=count + 2)

        devices["switch1"].thaw()
        devices["box"].start()
        await await_problems(stack)
        await await_value(stack, "switch1", "poll.status[snmp.get]", text="ok")
        assert devices["box"].connections() <= 8, "connections are kept"
