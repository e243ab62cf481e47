"""Gathers what the judgement needs from the store: for the active server, the page of any server, and commands."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from server.coverage.judge import OWN_SETS, HostFacts, SetFacts, Waived, judge_host
from server.own.identity import PARTS_HOST
from server.store.coverage import AGE, PERIOD, read_known_since, read_set_items
from server.store.instants import to_datetime

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from server.coverage.judge import Verdict
    from server.inventory.effective import Inventory
    from server.inventory.model import HostDefinition
    from server.store.coverage import SetItem
    from server.store.database import Connection
    from server.store.latest import Latest


async def read_coverage(
    connection: Connection, inventory: Inventory, now: datetime, only: Collection[str] | None = None
) -> list[Verdict]:
    """Judge every defined host, or those of `only`, by name; Watchkeep's own parts are none. Raises StoreAway."""
    names = [name for name in sorted(inventory.hosts) if name != PARTS_HOST and (only is None or name in only)]
    known_since = await read_known_since(connection, names)
    sets = _gather(await read_set_items(connection))
    verdicts = []
    for name in names:
        wish = inventory.hosts[name].backup
        facts = HostFacts(
            name=name,
            known_since=known_since.get(name, now),
            within=None if wish is None else wish.within,
            sets=_sets_of(name, () if wish is None else wish.by, sets),
        )
        verdicts.append(judge_host(facts, _waivers_of(name, inventory.hosts[name], inventory), now))
    return verdicts


def _gather(found: Sequence[tuple[SetItem, Latest]]) -> dict[str, dict[str, SetFacts]]:
    """Return every set by host and name: an age that is not said any more goes on from when it was said last."""
    good_at: dict[tuple[str, str], datetime] = {}
    periods: dict[tuple[str, str], timedelta] = {}
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
            host=host, name=name, good_at=good_at.get(place), period=periods.get(place)
        )
    return sets


def _sets_of(host: str, by: Sequence[str], sets: dict[str, dict[str, SetFacts]]) -> list[SetFacts]:
    own = [each for name, each in sets.get(host, {}).items() if not name.startswith(OWN_SETS)]
    named = [sets.get(other, {}).get(name) for other, _, name in (title.partition("/") for title in by)]
    return own + [each for each in named if each is not None and each not in own]


def _waivers_of(name: str, host: HostDefinition, inventory: Inventory) -> list[Waived]:
    return [
        Waived(name=waiver.name, ends_at=waiver.ends_at, reason=waiver.reason)
        for waiver in inventory.waivers.values()
        if name in waiver.hosts or not set(waiver.groups).isdisjoint(host.groups)
    ]
