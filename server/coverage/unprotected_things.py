"""Which things of hosts are said to be unprotected: an item each, from when it first is; what is protected has none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from core.model.item import ItemDescription

if TYPE_CHECKING:
    from collections.abc import Iterable

    from server.coverage.model import Verdict

THING_ITEM: Final = "backup.thing_unprotected"
MOST_THINGS: Final = 20
"""Of a host, by name; the rest is one more: a hundred problems of one cause help nobody."""
THE_REST: Final = "further things"
_TIMES: Final = 2
"""A new item's triggers are bound with its first value and evaluated with its second."""


class UnprotectedThings:
    """What was said of each, and how often in a row. What an earlier reign said stands until it is said anew."""

    def __init__(self, said: Iterable[tuple[str, str]]) -> None:
        """`said`: host and thing of every item there is."""
        self._said: dict[str, dict[str, tuple[float, int, float]]] = {}
        for host, title in said:
            self._said.setdefault(host, {})[title] = (-1.0, 0, 0.0)
        self.has_news = False

    def changes(self, verdict: Verdict, now: float, repeat_seconds: float) -> list[tuple[ItemDescription, float]]:
        """Return what is to be said of a host's things; `has_news` when some of it was not said before.

        1 for what is unprotected, again and again; 0 for what is no more, or was another thing's, now gone.
        """
        open_ = _open(verdict)
        known = self._said.setdefault(verdict.host, {})
        self.has_news = False
        readings = []
        for title in [*open_, *(title for title in known if title not in open_)]:
            value = 1.0 if title in open_ else 0.0
            before, times, at = known.get(title, (-1.0, 0, 0.0))
            times = times if before == value else 0
            if times < _TIMES or (value and now - at >= repeat_seconds):
                known[title] = (value, times + 1, now)
                self.has_news |= times == 0
                readings.append((_item(verdict.host, title), value))
        return readings

    def forget(self, host: str) -> None:
        """A host that is there no more has nothing."""
        self._said.pop(host, None)


def _open(verdict: Verdict) -> dict[str, None]:
    titles = [each.thing.title for each in verdict.things if each.state == "unprotected"]
    return dict.fromkeys([*titles[:MOST_THINGS], *([THE_REST] if len(titles) > MOST_THINGS else [])])


def _item(host: str, title: str) -> ItemDescription:
    return ItemDescription(
        host=host,
        key=f"{THING_ITEM}[{title}]",
        description="1: no backup of it is as new as it has to be; 0: one is, or it is waived, new, or gone",
    )
