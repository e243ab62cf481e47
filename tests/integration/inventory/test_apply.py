"""Definitions from files and page to the database and back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from server.inventory.apply import (
    DefinitionsMoved,
    DefinitionsWrong,
    apply,
    check_documents,
    define_host,
    install_shipped,
    keep_host,
    propose,
    propose_deletion,
    read_inventory,
)
from server.inventory.check import documents_from_plain
from server.store.definitions import CHANNEL, Author, find_definition, read_changes, read_definitions, read_revision

if TYPE_CHECKING:
    from server.inventory.apply import Proposal
    from server.inventory.plan import Via
    from server.store.database import Database

TEMPLATE = {"kind": "template", "name": "t", "items": [{"probe": "cpu", "every": "10s"}]}
HOST = {"kind": "host", "name": "db1", "templates": ["t"]}


async def proposal_of(database: Database, *documents: Any, via: Via = "file", prune: bool = False) -> Proposal:
    return await propose(database, check_documents(documents_from_plain(documents)), via=via, prune=prune)


async def apply_all(database: Database, *documents: Any, via: Via = "file", prune: bool = False) -> int:
    return await apply(
        database, await proposal_of(database, *documents, via=via, prune=prune), Author(name="ann", via=via)
    )


async def test_applied_definitions_are_read_back_and_applying_again_changes_nothing(database: Database) -> None:
    revision = await apply_all(database, TEMPLATE, HOST)
    inventory = await read_inventory(database)
    assert inventory.revision == revision
    assert inventory.document("db1") == {
        "version": revision,
        "probes": [{"probe": "cpu", "interval_seconds": 10.0, "parameters": {}}],
    }
    assert (await proposal_of(database, HOST, TEMPLATE, prune=True)).changes == []
    assert await apply_all(database, HOST, TEMPLATE) == revision


async def test_every_change_is_kept_with_who_when_before_and_after(database: Database) -> None:
    await apply_all(database, TEMPLATE, HOST)
    await apply_all(database, HOST | {"tags": {"rack": "a4"}}, via="web")
    await apply_all(database, HOST | {"tags": {"rack": "a5"}}, TEMPLATE)
    proposal = await propose_deletion(database, "host", "db1")
    assert proposal is not None
    await apply(database, proposal, Author(name="bob", via="web"))
    async with database.connection() as connection:
        found = await read_changes(connection, kind="host", name="db1")
    assert [(c.action, c.via, c.changed_by) for c in found] == [
        ("delete", "web", "bob"), ("update", "file", "ann"), ("update", "web", "ann"), ("create", "file", "ann"),
    ]  # fmt: skip
    assert [(c.before or {}).get("tags") for c in found] == [{"rack": "a5"}, {"rack": "a4"}, None, None]
    assert found[0].after is None
    assert [c.revision for c in found] == sorted((c.revision for c in found), reverse=True)
    assert found[0].changed_at >= found[-1].changed_at


async def test_with_any_fault_nothing_is_stored(database: Database) -> None:
    proposal = await proposal_of(database, TEMPLATE, HOST | {"templates": ["t", "tt"]})
    assert [fault.path for fault in proposal.faults] == ["templates[1]"]
    with pytest.raises(DefinitionsWrong, match="'tt'"):
        await apply(database, proposal, Author(name="ann", via="file"))
    async with database.connection() as connection:
        assert await read_definitions(connection) == []
        assert await read_revision(connection) == 0


async def test_a_proposal_that_was_overtaken_is_refused(database: Database) -> None:
    await apply_all(database, TEMPLATE)
    late = await proposal_of(database, HOST)
    await apply_all(database, HOST | {"tags": {"rack": "a4"}}, via="web")
    with pytest.raises(DefinitionsMoved):
        await apply(database, late, Author(name="ann", via="file"))


async def test_of_many_who_apply_at_once_one_wins_and_the_others_are_told(database: Database) -> None:
    proposals = [await proposal_of(database, TEMPLATE | {"description": f"number {n}"}) for n in range(5)]
    done = await asyncio.gather(
        *(apply(database, each, Author(name="ann", via="file")) for each in proposals), return_exceptions=True
    )
    assert sum(isinstance(each, int) for each in done) == 1
    assert sum(isinstance(each, DefinitionsMoved) for each in done) == 4
    async with database.connection() as connection:
        assert len(await read_changes(connection)) == 1


async def test_what_is_referred_to_cannot_be_deleted(database: Database) -> None:
    await apply_all(database, TEMPLATE, HOST)
    proposal = await propose_deletion(database, "template", "t")
    assert proposal is not None
    assert "db1" in proposal.faults[0].message
    assert await propose_deletion(database, "template", "nothing") is None
    assert (await proposal_of(database, HOST, prune=True)).faults, "nor by pruning"


async def test_files_say_so_before_they_undo_a_change_of_the_page(database: Database) -> None:
    await apply_all(database, TEMPLATE, HOST)
    await apply_all(database, HOST | {"tags": {"rack": "a4"}}, via="web")
    proposal = await proposal_of(database, TEMPLATE, HOST)
    assert [change.name for change in proposal.overwriting] == ["db1"]
    assert "ann" in proposal.overwriting[0].overwrites


async def test_shipped_templates_are_stored_once_and_left_alone_when_changed(database: Database) -> None:
    assert await install_shipped(database) >= 1
    assert await install_shipped(database) == 0
    mine = {"kind": "template", "name": "linux-host", "description": "mine"}
    await apply_all(database, mine)
    assert await install_shipped(database) == 0
    async with database.connection() as connection:
        found = await find_definition(connection, "template", "linux-host")
    assert found is not None
    assert found.body["description"] == "mine"


async def test_an_enrolled_host_is_defined_once_and_never_pruned(database: Database) -> None:
    await install_shipped(database)
    assert await define_host(database, "db1", ["linux-host"], by="enrolment of db1")
    assert not await define_host(database, "db1", [], by="enrolment of db1")
    assert len((await read_inventory(database)).triggers("db1")) >= 6
    assert (await proposal_of(database, TEMPLATE, prune=True)).changes[0].action == "create"
    assert len((await proposal_of(database, TEMPLATE, prune=True)).changes) == 1
    async with database.connection() as connection:
        row = await (await connection.execute("SELECT count(*) FROM host WHERE name = 'db1'")).fetchone()
    assert row == (1,)


async def test_a_kept_host_gets_new_templates_until_a_person_changes_it(database: Database) -> None:
    await apply_all(database, TEMPLATE)
    await install_shipped(database)
    for is_new in (True, False):
        assert await keep_host(database, "db1", ["t"], by="watchkeep up") is is_new
    assert await keep_host(database, "db1", ["t", "linux-host"], by="watchkeep up")
    assert not await keep_host(database, "db1", ["t"], by="somebody else")
    await apply_all(database, HOST | {"tags": {"rack": "a4"}})
    assert not await keep_host(database, "db1", ["t", "linux-host"], by="watchkeep up")
    async with database.connection() as connection:
        found = await find_definition(connection, "host", "db1")
    assert found is not None
    assert found.body["templates"] == ["t"]


async def test_an_enrolled_host_that_a_file_changed_is_not_pruned_until_a_file_creates_it(database: Database) -> None:
    await apply_all(database, TEMPLATE)
    assert await define_host(database, "db1", ["t"], by="enrolment of db1")
    await apply_all(database, HOST | {"tags": {"rack": "a4"}})
    assert (await proposal_of(database, TEMPLATE, prune=True)).changes == []
    deleted = await propose_deletion(database, "host", "db1")
    assert deleted is not None
    await apply(database, deleted, Author(name="ann", via="web"))
    await apply_all(database, HOST)
    assert [change.action for change in (await proposal_of(database, TEMPLATE, prune=True)).changes] == ["delete"]


async def test_a_change_is_announced_with_its_revision(database: Database) -> None:
    listener = await database.dedicated()
    try:
        await listener.execute(f"LISTEN {CHANNEL}")
        revision = await apply_all(database, TEMPLATE)
        told = [notice.payload async for notice in listener.notifies(timeout=60, stop_after=1)]
        assert told == [str(revision)]
    finally:
        await listener.close()
