"""From sources' dictionaries to the items they declare: those of a whole group at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from core.model.record import RecordError, unpack_rows
from server.intake.dictionaries import FOREIGN_ITEM, MAX_ITEM_NUMBER
from server.store.dictionary import DictionaryEntries
from server.store.inventory import ItemDeclaration, ensure_hosts, ensure_items

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from server.intake.screening import Admitted
    from server.store.database import Connection
    from server.store.peers import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What a group's dictionaries say. Every one of them ends in either `stored` or `poison`, there with the reason.

    `changed_items`: those that are new, or were declared otherwise before.
    """

    dictionaries: list[DictionaryEntries] = field(default_factory=list)
    changed_items: list[int] = field(default_factory=list)
    stored: list[Admitted] = field(default_factory=list)
    poison: list[tuple[Admitted, str]] = field(default_factory=list)


class _Said(NamedTuple):
    """One dictionary: its rows (number, key, type, unit, description, host), and the hosts it may name or may not."""

    admitted: Admitted
    rows: Sequence[Any]
    own: set[str]
    foreign: set[str]


async def declare(
    connection: Connection, records: Sequence[Admitted], may_name: Callable[[Source, str], bool]
) -> Declared:
    """Make the hosts and items that DICTIONARY records declare, within the caller's transaction."""
    declared = Declared()
    said = [each for record in records if (each := _read(record, may_name, declared)) is not None]
    if not said:
        return declared
    hosts = await ensure_hosts(connection, set().union(*(each.own for each in said)))
    declarations: list[ItemDeclaration] = []
    understood: list[_Said] = []
    for each in said:
        own = _declarations(each, hosts)
        if own is None:
            declared.poison.append((each.admitted, "an item names no host and its source has none of its own"))
            continue
        declarations += own
        understood.append(each)
    ensured = await ensure_items(connection, declarations)
    declared.changed_items.extend(ensured.changed)
    for each in understood:
        header, source = each.admitted.arrival.header, each.admitted.source
        declared.dictionaries.append(
            DictionaryEntries(
                source_id=source.id,
                boot=header.boot,
                version=header.dictionary,
                numbers=[row[0] for row in each.rows],
                items=[
                    FOREIGN_ITEM
                    if row[5] in each.foreign
                    else ensured.ids[hosts[row[5]] if row[5] else source.host_id or 0, row[1]]
                    for row in each.rows
                ],
                structured=[row[0] for row in each.rows if row[2] == "structured"],
            )
        )
        declared.stored.append(each.admitted)
    return declared


def _read(admitted: Admitted, may_name: Callable[[Source, str], bool], declared: Declared) -> _Said | None:
    """Read one record; None, and among the poison, when it cannot be understood."""
    try:
        rows = unpack_rows(admitted.arrival.record, admitted.arrival.header)
    except RecordError as error:
        declared.poison.append((admitted, str(error)))
        return None
    if max((row[0] for row in rows), default=0) > MAX_ITEM_NUMBER:
        declared.poison.append((admitted, f"an item number exceeds the limit of {MAX_ITEM_NUMBER}"))
        return None
    names = {row[5] for row in rows if row[5]}
    own = {name for name in names if may_name(admitted.source, name)}
    return _Said(admitted, rows, own, names - own)


def _declarations(said: _Said, hosts: Mapping[str, int]) -> list[ItemDeclaration] | None:
    """List the items a source may speak of; None when one names no host and the source has none of its own."""
    own_host = said.admitted.source.host_id
    declarations = []
    for _, key, type_, unit, description, name in said.rows:
        if name in said.foreign:
            continue
        host = hosts[name] if name else own_host
        if host is None:
            return None
        declarations.append(ItemDeclaration(host_id=host, key=key, type=type_, unit=unit, description=description))
    return declarations
