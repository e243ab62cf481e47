"""Gathers what the judgement needs from the store: for the active server, the page of any server, and commands."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from server.coverage.documents import read_covers, read_things, unknown_servers
from server.coverage.judge import GRACE, OWN_SETS, judge_host
from server.coverage.judge_things import judge_things
from server.coverage.model import HostFacts, SetFacts, ThingsFacts, Waived
from server.own.identity import PARTS_HOST
from server.store.coverage import AGE, PERIOD, read_documents, read_known_since, read_set_items
from server.store.instants import to_datetime

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from server.coverage.model import Verdict
    from server.inventory.effective import Inventory
    from server.inventory.model import HostDefinition
    from server.store.coverage import Document, SetItem
    from server.store.database import Connection
    from server.store.latest import Latest

    Sets = Mapping[str, Mapping[str, SetFacts]]

_COVERS: Final = "backup.covers["


async def read_coverage(
    connection: Connection, inventory: Inventory, now: datetime, only: Collection[str] | None = None
) -> list[Verdict]:
    """Judge every defined host, or those of `only`, and what it holds, by name; Watchkeep's own parts are none.

    Raises StoreAway.
    """
    names = [name for name in sorted(inventory.hosts) if name != PARTS_HOST and (only is None or name in only)]
    known_since = await read_known_since(connection, names)
    documents = await read_documents(connection, now - GRACE)
    sets = _gather(await read_set_items(connection), documents)
    machines = _machines(inventory, sets)
    said: dict[str, list[Document]] = {}
    for each in documents:
        said.setdefault(each.host, []).append(each)
    verdicts = []
    for name in names:
        definition = inventory.hosts[name]
        wish = definition.backup
        within, by = (None, ()) if wish is None else (wish.within, wish.by)
        facts = HostFacts(
            name=name, known_since=known_since.get(name, now), within=within, sets=_sets_of(name, by, sets)
        )
        waivers = _waivers_of(name, definition, inventory)
        held, before = _held(said.get(name, ()))
        things = ThingsFacts(
            host=name,
            things=[
                each for each in read_things(held)
                if each.kind != "domain" or not {each.name.lower(), f"{name}/{each.name}"} & machines
            ],
            long_known=frozenset(read_things(before)),
            within=within,
            sets=_sets_of(name, by, sets, has_own=True),
        )  # fmt: skip
        verdict = judge_host(facts, waivers, now)
        judged = tuple(judge_things(things, waivers, now))
        verdicts.append(replace(verdict, things=judged, unknown=tuple(unknown_servers(held))))
    return verdicts


def _held(documents: Sequence[Document]) -> tuple[dict[str, str], dict[str, str]]:
    """Return what a host says it holds now, and said it held a time ago."""
    found = [each for each in documents if not each.key.startswith(_COVERS)]
    return {each.key: each.text for each in found}, {each.key: each.before for each in found}


def _machines(inventory: Inventory, sets: Sets) -> set[str]:
    """Return the domains that are hosts of their own, by the host's name in small letters, or as HYPERVISOR/DOMAIN.

    They are judged as hosts, once: by name, or by a set that a host says saves it.
    """
    found = {name.lower() for name in inventory.hosts}
    for host in inventory.hosts.values():
        for title in () if host.backup is None else host.backup.by:
            other, _, name = title.partition("/")
            facts = sets.get(other, {}).get(name)
            if facts is not None and facts.covers is not None:
                found |= {f"{other}/{domain}" for domain in facts.covers.domains}
    return found


def _gather(found: Sequence[tuple[SetItem, Latest]], documents: Sequence[Document]) -> Sets:
    """Return every set by host and name: an age that is not said any more goes on from when it was said last."""
    good_at: dict[tuple[str, str], datetime] = {}
    periods: dict[tuple[str, str], timedelta] = {}
    covers = {
        (each.host, each.key.removeprefix(_COVERS)[:-1]): read_covers(each.text)
        for each in documents
        if each.key.startswith(_COVERS)
    }
    sets: dict[str, dict[str, SetFacts]] = {}
    for item, latest in found:
        if not isinstance(latest.value, float):
            continue
        if item.name == AGE:
            good_at[item.host, item.set] = to_datetime(latest.at_us - int(latest.value * 1e6))
        elif item.name == PERIOD and latest.value > 0:
            periods[item.host, item.set] = timedelta(seconds=latest.value)
    for host, name in dict.fromkeys((item.host, item.set) for item, _ in found):
        place = (host, name)
        sets.setdefault(host, {})[name] = SetFacts(
            host=host, name=name, good_at=good_at.get(place), period=periods.get(place), covers=covers.get(place)
        )
    return sets


def _sets_of(host: str, by: Sequence[str], sets: Sets, *, has_own: bool = False) -> list[SetFacts]:
    """Return the sets that may save a host; with `has_own` Watchkeep's own among them, which save a database there."""
    own = [each for name, each in sets.get(host, {}).items() if has_own or not name.startswith(OWN_SETS)]
    named = [sets.get(other, {}).get(name) for other, _, name in (title.partition("/") for title in by)]
    return own + [each for each in named if each is not None and each not in own]


def _waivers_of(name: str, host: HostDefinition, inventory: Inventory) -> list[Waived]:
    return [
        Waived(name=waiver.name, ends_at=waiver.ends_at, reason=waiver.reason, things=waiver.things)
        for waiver in inventory.waivers.values()
        if name in waiver.hosts or not set(waiver.groups).isdisjoint(host.groups)
    ]
