"""Turns checked documents into stored definitions: all of them in one transaction, or none."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from server.inventory.catalogue import shipped_catalogue
from server.inventory.check import check, check_references
from server.inventory.consequences import tell_consequences
from server.inventory.effective import Inventory
from server.inventory.plan import Change, deletion, plan, resulting
from server.inventory.polling import check_polling
from server.inventory.yaml import read_yaml
from server.store.audit import write_audit
from server.store.definitions import (
    Author,
    lock_definitions,
    read_definitions,
    read_file_made,
    read_revision,
    write_changes,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.inventory.check import Checked
    from server.inventory.fault import Fault
    from server.inventory.model import Kind
    from server.inventory.plan import Via
    from server.inventory.yaml import Document
    from server.store.database import Connection, Database

AUDIT_ACTION: Final = "definitions.change"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What would change, judged against the definitions as they were at `revision`; usable only without faults."""

    changes: list[Change]
    faults: list[Fault]
    revision: int
    consequences: Sequence[str] = ()
    """What the changes bring about beyond themselves, in words."""

    @property
    def overwriting(self) -> list[Change]:
        """The changes that would undo what somebody changed by another way than files."""
        return [change for change in self.changes if change.overwrites]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedChanges:
    """Changes as the audit log names them, with their detail."""

    object: str
    detail: dict[str, Any]


class DefinitionsMoved(Exception):
    """Somebody else changed definitions since the proposal was made: propose again and look."""


class DefinitionsWrong(Exception):
    """Definitions cannot be used; `faults` says all that is wrong."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(f"{f.file}:{f.line}: {f.path}: {f.message} {f.remedy}" for f in faults))
        self.faults = list(faults)


def check_documents(documents: Sequence[Document]) -> Checked:
    """Check documents by themselves against what this version's agents can measure; pure."""
    return check(documents, shipped_catalogue())


async def propose(database: Database, checked: Checked, *, via: Via, prune: bool = False) -> Proposal:
    """Compare checked documents with what is stored. Nothing is changed."""
    async with database.connection() as connection, connection.transaction():
        return await _propose(connection, checked, via=via, prune=prune)


async def propose_deletion(database: Database, kind: Kind, name: str) -> Proposal | None:
    """Propose to delete one definition; None when there is none. What still refers to it is a fault."""
    async with database.connection() as connection, connection.transaction():
        revision = await read_revision(connection)
        stored = {each.key: each for each in await read_definitions(connection)}
        found = stored.get((kind, name))
        if found is None:
            return None
        changes = [deletion(found)]
        after = resulting(stored, changes)
        faults = check_references(after, {})
        told = tell_consequences(resulting(stored, []), after)
        return Proposal(changes=changes, faults=faults, revision=revision, consequences=told)


async def apply(database: Database, proposal: Proposal, author: Author, *, audit_as: str = "") -> int:
    """Make the proposal's changes in one transaction and return the revision they got.

    With `audit_as` the audit log says, in the same transaction, that this actor changed definitions.

    Raises DefinitionsWrong when the proposal has faults, DefinitionsMoved when anything changed since it was made.
    Without changes nothing is written, and the current revision is returned.
    """
    if proposal.faults:
        raise DefinitionsWrong(proposal.faults)
    async with database.connection() as connection, connection.transaction():
        await lock_definitions(connection)
        current = await read_revision(connection)
        if current != proposal.revision:
            raise DefinitionsMoved(
                f"definitions changed meanwhile (revision {proposal.revision} is now {current}): look again, then apply"
            )
        if not proposal.changes:
            return current
        revision = await write_changes(connection, proposal.changes, author)
        if audit_as:
            changed = describe_changes(proposal.changes, revision)
            await write_audit(
                connection, actor=audit_as, action=AUDIT_ACTION, object_=changed.object, detail=changed.detail
            )
        return revision


def describe_changes(changes: Sequence[Change], revision: int) -> AuditedChanges:
    """Return what the audit log says of changes; both bodies of a single one only, since thousands take megabytes."""
    changed = [f"{change.action} {change.kind}/{change.name}" for change in changes]
    detail: dict[str, Any] = {"revision": revision, "changes": changed}
    if len(changes) == 1:
        detail |= {"before": changes[0].before, "after": changes[0].after}
    return AuditedChanges(object=", ".join(changed)[:1000], detail=detail)


async def read_inventory(database: Database) -> Inventory:
    """Return all definitions, understood, of one instant. Raises StoredDefinitionBroken."""
    async with database.connection() as connection, connection.transaction():
        # The revision first: what commits in between is then newer than we say, and is read again.
        revision = await read_revision(connection)
        return Inventory.from_stored(revision, await read_definitions(connection))


async def define_host(database: Database, name: str, templates: Sequence[str], *, by: str) -> bool:
    """Define a host with its first agent's arrival; False when it is defined already (then nothing changes)."""
    async with database.connection() as connection, connection.transaction():
        return await define_newcomer(connection, name, templates, (), by=by)


async def keep_host(database: Database, name: str, templates: Sequence[str], *, by: str) -> bool:
    """Define a host, or give it these templates while nobody but `by` has defined it; tell whether something changed.

    So a host of an older version gets what a newer one brings, and what a person changed stays as it was left.
    """
    async with database.connection() as connection, connection.transaction():
        await lock_definitions(connection)
        stored = {each.key: each for each in await read_definitions(connection)}
        found = stored.get(("host", name))
        if found is not None and (found.via, found.changed_by) != ("enrolment", by):
            return False
        body = {"kind": "host", "name": name, "templates": list(templates)}
        changes = plan(stored, {("host", name): body}, via="enrolment")
        if changes:
            await write_changes(connection, changes, Author(name=by, via="enrolment"))
        return bool(changes)


async def define_newcomer(
    connection: Connection, name: str, templates: Sequence[str], groups: Sequence[str], *, by: str
) -> bool:
    """Define a host within the caller's transaction; False when it is defined already (then nothing changes)."""
    await lock_definitions(connection)
    stored = {each.key: each for each in await read_definitions(connection)}
    if ("host", name) in stored:
        return False
    body = {"kind": "host", "name": name, "templates": list(templates), **({"groups": list(groups)} if groups else {})}
    change = Change(action="create", kind="host", name=name, before=None, after=body)
    await write_changes(connection, [change], Author(name=by, via="enrolment"))
    return True


def shipped_documents() -> list[Document]:
    """Return the definitions delivered with Watchkeep. Raises DefinitionsWrong (a bug of this version)."""
    documents: list[Document] = []
    for resource in sorted(files("server.templates").iterdir(), key=lambda found: found.name):
        if resource.name.endswith(".yaml"):
            found, faults = read_yaml(resource.read_bytes(), resource.name)
            if faults:
                raise DefinitionsWrong(faults)
            documents += found
    return documents


async def install_shipped(database: Database) -> int:
    """Store the delivered definitions that are new or changed with this version; return how many.

    What a person changed, by file or page, stays as that person left it.
    """
    checked = check_documents(shipped_documents())
    if checked.faults:
        raise DefinitionsWrong(checked.faults)
    async with database.connection() as connection, connection.transaction():
        await lock_definitions(connection)
        stored = {each.key: each for each in await read_definitions(connection)}
        wanted = {
            key: body for key, body in checked.bodies().items() if key not in stored or stored[key].via == "shipped"
        }
        changes = plan(stored, wanted, via="shipped")
        if changes:
            await write_changes(connection, changes, Author(name="watchkeep", via="shipped"))
        return len(changes)


async def _propose(connection: Connection, checked: Checked, *, via: Via, prune: bool) -> Proposal:
    revision = await read_revision(connection)
    stored = {each.key: each for each in await read_definitions(connection)}
    prunable = await read_file_made(connection) if prune else frozenset()
    changes = plan(stored, checked.bodies(), via=via, prunable=prunable)
    after = resulting(stored, changes)
    faults = [
        *checked.faults,
        *check_references(after, checked.documents, checked.unfit),
        *check_polling(after, checked.documents, shipped_catalogue()),
    ]
    told = tell_consequences(resulting(stored, []), after)
    return Proposal(changes=changes, faults=faults, revision=revision, consequences=told)
