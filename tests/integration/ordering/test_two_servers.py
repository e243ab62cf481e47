"""Two real servers, real agents, real backups: a limit over several hosts; trial B-7, a run ordered at a takeover."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from psycopg import AsyncConnection

from agent.remembered import Remembered, save
from backup.keys.making import make_host_pair
from backup.keys.ring import KeyRing
from core.wire.curve import load_or_create
from server.inventory.apply import apply, check_documents, propose
from server.inventory.yaml import read_yaml
from server.ordering.asking import order_run
from server.store.definitions import Author
from server.store.inventory import ensure_hosts
from server.store.peers import PeerKey, add_key, ensure_source
from tests.support.backup_site import backup_site
from tests.support.waiting import until_found
from tests.trials.part import Part
from tests.trials.site import SERVERS, Site, write_configurations

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from server.store.database import Database, DatabaseOptions
    from tests.support.backup_site import BackupSite

pytestmark = pytest.mark.timeout(400)

HOSTS = ("web1", "web2", "web3")
DEFINITIONS = """
kind: template
name: saved
items: [{probe: backup, every: 1s}]
---
kind: limit
name: store
at_once: 1
targets: [store]
"""
# COMMIT of whoever orders a run waits while a test holds the lock.
HELD_COMMIT = """
CREATE FUNCTION wait_for_test() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS
    $$ BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER held AFTER INSERT ON backup_order DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION wait_for_test();
"""
WAITS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7 AND NOT granted"


async def let_in_and_define(database: Database, sources: dict[str, tuple[Any, bytes]]) -> None:
    async with database.connection() as connection, connection.transaction():
        hosts = await ensure_hosts(connection, sources)
        for name, (uuid, key) in sources.items():
            source = await ensure_source(connection, uuid, name, hosts[name])
            facts: dict[str, Any] = {"group_id": None, "revoked_at": None}
            peer = PeerKey(key=key, role="agent", name=name, source_id=source.id, source_uuid=uuid, **facts)
            assert await add_key(connection, peer)
    text = DEFINITIONS + "".join(f"---\nkind: host\nname: {name}\ntemplates: [saved]\n" for name in sources)
    documents, faults = read_yaml(text, "limit.yaml")
    proposal = await propose(database, check_documents(documents), via="file")
    assert not [*faults, *proposal.faults]
    await apply(database, proposal, Author(name="test", via="file"))


def write_agents(site: Site, saved: BackupSite) -> dict[str, tuple[Any, bytes]]:
    """Write an agent's and a backup.toml for each host; return their source ids and keys."""
    found = {}
    upstreams = "".join(
        f"[[upstreams]]\nendpoint = '{site.endpoint(server)}'\nkey = '{site.public_key(server)}'\n"
        for server in SERVERS
    )
    for name in HOSTS:
        # Known from before: an agent that never heard of a limit begins at once.
        limits = [{"name": "store", "targets": ["store"], "wait_at_most_seconds": 3600.0}]
        site.data(name).mkdir()
        save(site.data(name) / "remembered.json", Remembered(body={"probes": [], "backup_limits": limits}))
        uuid = uuid4()
        found[name] = uuid, load_or_create(site.key_file(name)).public
        own = saved.host.read_text().replace('"web1"', f'"{name}"').replace('"host/work"', f'"{name}/work"')
        (saved.folder / f"{name}.toml").write_text(own.replace('"host/state"', f'"{name}/state"'))
        site.config_file(name).write_text(
            f"name = '{name}'\nsource = '{uuid}'\ndata = '{name}'\nkey_file = '{site.key_file(name)}'\n"
            f"backup = '{saved.folder / f'{name}.toml'}'\n{upstreams}"
        )
    return found


@asynccontextmanager
async def running(site: Site) -> AsyncIterator[dict[str, Part]]:
    """Start the servers, then the agents; all end with the block, and tell what they logged when it fails."""
    parts = {}
    for name in (*SERVERS, *HOSTS):
        words = ("watchkeep", "server") if name in SERVERS else ("agent",)
        arguments = (sys.executable, "-m", *words, "--config", str(site.config_file(name)))
        parts[name] = Part(name=name, arguments=arguments, log_file=site.folder / f"{name}.log")
    try:
        for part in parts.values():
            await part.start()
        yield parts
    except BaseException:
        for part in parts.values():
            print(f"──── the end of {part.name}'s log\n{part.end_of_log(4000)}", file=sys.stderr)  # noqa: T201
        raise
    finally:
        await asyncio.gather(*(part.stop() for part in parts.values()), return_exceptions=True)


def runs_of(saved: BackupSite, name: str) -> list[dict[str, Any]]:
    """Return the journal of a host's runs."""
    return [json.loads(file.read_text()) for file in (saved.folder / name / "work" / "files" / "runs").glob("*.json")]


async def kill_after_its_first_order(connection: AsyncConnection[Any], parts: dict[str, Part]) -> tuple[str, datetime]:
    """Kill the active server when it has ordered a run and has told nobody yet; return the run's host and due instant.

    Its COMMIT is held until it is frozen: the order is there then, and it never hears that.
    """

    async def is_held() -> bool | None:
        return (await (await connection.execute(WAITS)).fetchone()) == (1,) or None

    await until_found(is_held, 120)
    row = await (await connection.execute("SELECT holder FROM lease")).fetchone()
    assert row is not None
    active = parts[row[0]]
    active.send(signal.SIGSTOP)
    await connection.execute("SELECT pg_advisory_unlock(7)")

    async def ordered() -> tuple[str, datetime] | None:
        return await (await connection.execute("SELECT host, due_at FROM backup_order")).fetchone()

    found = await until_found(ordered, 60)
    await active.kill()
    return found


async def test_a_limit_holds_over_hosts_all_get_their_turn_and_a_run_ordered_at_a_takeover_runs_once(
    database: Database, database_options: DatabaseOptions, tmp_path: Path
) -> None:
    """Trial B-7: the limit, an operator and two servers want the same run."""
    site = Site.choose(tmp_path, 0, ())
    write_configurations(site, dict.fromkeys(SERVERS, database_options.dsn))
    with backup_site() as saved:
        saved.add_folder_target()
        (saved.folder / "data").mkdir()
        (saved.folder / "data" / "file").write_text("content")
        saved.add_paths_set("files", "store", [saved.folder / "data"], schedule="every 1m")
        saved.write()
        with KeyRing(saved.folder / "host" / "keys", saved.folder / "host" / "passphrase") as ring:
            for name in HOSTS[1:]:
                make_host_pair(ring, name)
        await let_in_and_define(database, write_agents(site, saved))
        async with await AsyncConnection.connect(database_options.dsn, autocommit=True) as connection:
            await connection.execute(HELD_COMMIT)
            await connection.execute("SELECT pg_advisory_lock(7)")
            async with running(site) as parts:
                host, due_at = await kill_after_its_first_order(connection, parts)
                async with connection.transaction():
                    again = await order_run(
                        connection, host=host, name="files", due_at=due_at, now=datetime.now(due_at.tzinfo), by="anna"
                    )
                assert (again.ordered_by, again.limits) == ("the schedule", ["store"])  # the order there is

                async def rows() -> list[tuple[Any, ...]]:
                    text = "SELECT host, due_at, state, claimed_epoch FROM backup_order ORDER BY id"
                    return await (await connection.execute(text)).fetchall()

                async def are_all_saved() -> bool | None:
                    return {row[0] for row in await rows() if row[2] == "ok"} == set(HOSTS) or None

                await until_found(are_all_saved, 180)
            first, *others = await rows()  # now that nobody gives or begins one any more
        assert first == (host, due_at, "ok", 2)  # the one that was killed had told nobody
        given = {(row[0], row[1]) for row in (first, *others)}
        for name in HOSTS:
            log = site.config_file(name).with_suffix(".log").read_text()
            begun = re.findall('A backup starts .*due_at="(.*?)"', log)
            assert len(set(begun)) == len(begun)
            assert {(name, datetime.fromisoformat(at)) for at in begun} <= given
        runs = [run for name in HOSTS for run in runs_of(saved, name)]
        spans = sorted((run["started_at"], run["ended_at"]) for run in runs if run["ended_at"])
        assert len(spans) >= len(HOSTS)
        assert all(ended <= begun for (_, ended), (begun, _) in pairwise(spans)), spans
