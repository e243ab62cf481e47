"""Reads what hosts say they hold and their sets save; what has not the form is taken for not said."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from core.model.things import LONGEST_NAME, MOST_CONTAINED, MOST_NAMES, readable, split_thing
from server.coverage.thing import FURTHER, IN_CONTAINER, Covers, Thing, is_at_or_below

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from server.coverage.thing import ThingKind

FILESYSTEMS, DATABASES, DOMAINS = "inventory.filesystems", "inventory.databases", "inventory.domains"
_MOST_SERVERS: Final = 50
_HOMES: Final = {
    "postgresql": ("/var/lib/postgresql", "/var/lib/pgsql"),
    "mariadb": ("/var/lib/mysql",),
    "mysql": ("/var/lib/mysql",),
}
"""Folders that are their server's own: a file system mounted there holds its databases, which are things themselves."""
_IMAGES: Final = "/var/lib/libvirt/images"


def read_covers(text: str) -> Covers | None:
    """Return what a set says it saves; None when it does not say."""
    table = _table(text)
    if not table:
        return None
    port = table.get("port")
    return Covers(
        engine=str(table.get("engine", "")),
        port=port if isinstance(port, int) else 0,
        databases=frozenset(_texts(table.get("databases"))),
        domains=frozenset(_texts(table.get("domains"))),
        filesystems=frozenset(_texts(table.get("file_systems"))),
        left_out=frozenset(_texts(table.get("left_out"))),
        has_images=bool(_texts(table.get("images"))),
        is_whole=table.get("is_whole") is True,
        also=frozenset(_split(_texts(table.get("also")))),
        keeps=tuple(_texts(table.get("keeps"))),
    )


def read_things(documents: Mapping[str, str]) -> list[Thing]:
    """Return the things a host says it has, from its inventory's documents by their items' keys.

    A replica's databases are not among them: they are the other server's. Nor is a file system that is a database
    server's folder or holds nothing but domains' images, where those are said.
    """
    servers = list(_servers(_table(documents.get(DATABASES, ""))))
    domains = _named("domain", _table(documents.get(DOMAINS, "")))
    databases = [thing for _, things in servers for thing in things]
    databases += _contained(_table(documents.get(DATABASES, "")))
    names = [thing.name for thing in databases]
    databases = [replace(each, is_one_of_several=names.count(each.name) > 1) for each in databases]
    folders = [table for table, _ in servers]
    mounts = [
        each
        for each in _named("filesystem", _table(documents.get(FILESYSTEMS, "")))
        if not any(_is_servers_own(each.name, table) for table in folders)
        and not (domains and is_at_or_below(each.name, _IMAGES))
    ]
    return [*databases, *mounts, *domains]


def unknown_servers(documents: Mapping[str, str]) -> list[str]:
    """Return the database servers that are there and did not say what they hold."""
    return _texts(_table(documents.get(DATABASES, "")).get("unknown"))[:_MOST_SERVERS]


def _servers(table: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], list[Thing]]]:
    listed = table.get("servers")
    for each in listed[:_MOST_SERVERS] if isinstance(listed, list) else ():
        if isinstance(each, dict) and isinstance(each.get("port"), int):
            found = _named("database", each) if each.get("is_replica") is not True else []
            yield each, [replace(one, engine=str(each.get("engine", ""))[:40], port=each["port"]) for one in found]


def _contained(table: Mapping[str, Any]) -> Iterator[Thing]:
    """Yield the servers in containers: nobody knows what they hold, so each is one thing, whatever port it has."""
    listed = table.get("contained")
    if isinstance(table.get("more_contained"), int) and table["more_contained"] > 0:
        yield Thing(kind="database", name=f"{FURTHER} in containers", port=IN_CONTAINER)
    for each in listed[:MOST_CONTAINED] if isinstance(listed, list) else ():
        if isinstance(each, dict) and each.get("engine") and each.get("container"):
            name = readable(f"{each['engine']} in {each['container']}")[:LONGEST_NAME]
            yield Thing(kind="database", name=name, engine=str(each["engine"])[:40], port=IN_CONTAINER)


def _named(kind: ThingKind, table: Mapping[str, Any]) -> list[Thing]:
    names = [name for name in _texts(table.get("names")) if 0 < len(name) <= LONGEST_NAME][:MOST_NAMES]
    further = [FURTHER] if isinstance(table.get("more"), int) and table["more"] > 0 else []
    return [Thing(kind=kind, name=name) for name in dict.fromkeys([*names, *further])]


def _is_servers_own(point: str, server: Mapping[str, Any]) -> bool:
    folder = server.get("folder")
    if not isinstance(folder, str) or not folder:
        return False
    homes = _HOMES.get(str(server.get("engine")), ())
    return is_at_or_below(point, folder) or any(
        is_at_or_below(point, home) and is_at_or_below(folder, point) for home in homes
    )


def _split(texts: Iterable[str]) -> Iterator[tuple[str, str]]:
    for text in texts:
        try:
            yield split_thing(text)
        except ValueError:
            continue


def _table(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _texts(found: Any) -> list[str]:
    return [readable(each) for each in found if isinstance(each, str)] if isinstance(found, list) else []
