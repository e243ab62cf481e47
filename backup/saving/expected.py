"""Which chains a prune leaves at a target, as far as who may not delete can tell: what its rules and holds keep.

The rules are those that its own configuration gives the set, if any. They are only compared with: a pruner goes by its
own. Whatever they want now, of the points that were known, they wanted at any time since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from backup.model import read_instant
from backup.notes.holds import read_holds
from backup.retention import Chain, ChainPoint, wanted_chains
from backup.saving.known_points import points_there

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from backup.catalogue import Catalogue
    from backup.model import Place
    from backup.retention import Rules
    from backup.targets.contract import Target


def expected_chains(
    target: Target, place: Place, rules: Rules | None, known: Mapping[str, str], there: Catalogue, now: datetime
) -> set[str]:
    """Return the chains of `known` (names of points and their chains, as of the last look) that must still be there.

    A hold counts when it was set before that look. Raises what the target raises.
    """
    found = set() if rules is None else _by_rules(rules, {**known, **points_there(there)}, now)
    looked_at = max(map(read_instant, known), default=None)
    for hold in read_holds([target], place, None):
        if looked_at is not None and hold.set_at is not None and hold.set_at <= looked_at:
            found |= {chain for chain in known.values() if hold.holds(chain, now)}
    return found.intersection(known.values())


def _by_rules(rules: Rules, points: Mapping[str, str], now: datetime) -> set[str]:
    """Return the chains that rules want. What is not known to be damaged is taken for whole."""
    by_chain: dict[str, list[ChainPoint]] = {}
    for name, chain in sorted(points.items()):
        at = read_instant(name)
        by_chain.setdefault(chain, []).append(ChainPoint(at=at, known_at=at))
    return wanted_chains([Chain(name=name, points=tuple(each)) for name, each in by_chain.items()], rules, now)
