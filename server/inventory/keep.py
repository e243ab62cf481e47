"""How long each item is kept: the rules of its host and templates over the server's own terms; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from server.inventory.key_pattern import fits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from server.inventory.effective import Inventory
    from server.inventory.retention import RetentionRule


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """How long samples (`history`) and trends are kept, and how many samples at most; None: any number."""

    history: timedelta = timedelta(days=31)
    trends: timedelta = timedelta(days=2 * 366)
    samples: int | None = None


def keep_of(key: str, rules: Iterable[RetentionRule], default: Keep) -> Keep:
    """Return what holds for the item of this key: of each term, what the first rule says that fits and says it."""
    history = trends = None
    samples = None
    for rule in rules:
        if fits(rule.items, key):
            history = history or rule.history
            trends = trends or rule.trends
            samples = samples or rule.samples
    return Keep(history=history or default.history, trends=trends or default.trends, samples=samples or default.samples)


@dataclass(slots=True, kw_only=True)
class Retention:
    """The server's own terms, and the rules of whatever inventory holds now."""

    default: Keep
    inventory: Callable[[], Inventory]
    _longest: tuple[int, Keep] | None = field(default=None, init=False)

    def longest(self) -> Keep:
        """Return the longest that anything may be kept: beyond it slices are dropped whole, and samples refused."""
        inventory = self.inventory()
        if self._longest is None or self._longest[0] != inventory.revision:
            rules = [rule for template in inventory.templates.values() for rule in template.retention]
            rules += [rule for host in inventory.hosts.values() for rule in host.retention]
            longest = Keep(
                history=max([self.default.history, *(rule.history for rule in rules if rule.history)]),
                trends=max([self.default.trends, *(rule.trends for rule in rules if rule.trends)]),
            )
            self._longest = (inventory.revision, longest)
        return self._longest[1]

    def of(self, host: str, key: str) -> Keep:
        """Return what holds for one item."""
        return keep_of(key, self.inventory().retention_rules(host), self.default)

    def differing(self, items: Sequence[tuple[int, str, str]]) -> dict[int, Keep]:
        """Return what holds for those of the items, (id, host, key), that do not keep exactly the longest."""
        inventory, longest = self.inventory(), self.longest()
        rules = {host: inventory.retention_rules(host) for host in {host for _, host, _ in items}}
        kept = {item: keep_of(key, rules[host], self.default) for item, host, key in items}
        return {item: keep for item, keep in kept.items() if keep != longest}
