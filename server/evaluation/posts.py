"""The instances of one trigger on one host, as columns with their keys, and what has to change to bind them anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from server.evaluation.bindings import WantedColumns


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Post:
    """What a trigger watches on a host: `keys` int64[n], ascending, are those of the evaluator, beside `instances`."""

    trigger_id: int
    host_id: int
    keys: NDArray[np.int64]
    instances: WantedColumns

    def place_of(self, key: int) -> int:
        """Return which of the instances has this key."""
        return int(np.searchsorted(self.keys, key))


class PostsByKey:
    """Which post has which key: 4 bytes a key, and a key is never used again. `len()` counts the keys in use."""

    def __init__(self) -> None:
        self._numbers = np.full(1024, -1, np.int32)  # by key: the place among the posts
        self._posts: dict[int, Post] = {}
        self._next_number = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, key: int) -> Post:
        return self._posts[int(self._numbers[key])]

    def put(self, post: Post) -> None:
        """Let all keys of a post lead to it, also those that led to the post it replaces."""
        if not len(post.keys):
            return
        if (highest := int(post.keys[-1])) >= len(self._numbers):
            grown = np.full(2 * (highest + 1), -1, np.int32)
            grown[: len(self._numbers)] = self._numbers
            self._numbers = grown
        before = self._numbers[post.keys]
        self._count += int(np.count_nonzero(before < 0))
        for number in np.unique(before[before >= 0]).tolist():
            del self._posts[number]
        self._posts[self._next_number] = post
        self._numbers[post.keys] = self._next_number
        self._next_number += 1

    def forget(self, keys: NDArray[np.int64]) -> None:
        """Let these keys, all in use, lead nowhere; a post nobody leads to any more is forgotten with its last key."""
        numbers = np.unique(self._numbers[keys])
        self._numbers[keys] = -1
        self._count -= len(keys)
        for number in numbers.tolist():
            if not (self._numbers[self._posts[number].keys] == number).any():
                del self._posts[number]


class Rebinding(NamedTuple):
    """How a post becomes what is wanted: the keys that go, and the post as it is then, whose last `added` are new."""

    gone: NDArray[np.int64]
    post: Post
    added: int


def follow(old: Post | None, wanted: WantedColumns, trigger_id: int, host_id: int, next_key: int) -> Rebinding:
    """Decide what stays of a post: instances keep their key, and so their window, while they mean the same.

    Of another expression or definition, or of other items, they are others. New ones get keys from `next_key` on.
    """
    if old is None or _is_other(old, wanted):
        gone = np.empty(0, np.int64) if old is None else old.keys
        keys = np.arange(next_key, next_key + len(wanted.parameters))
        return Rebinding(gone, Post(trigger_id=trigger_id, host_id=host_id, keys=keys, instances=wanted), len(keys))
    place_before = {parameter: place for place, parameter in enumerate(old.instances.parameters)}
    before = np.array([place_before.get(parameter, -1) for parameter in wanted.parameters], np.int64)
    stays = before >= 0
    stays[stays] = (old.instances.items[before[stays]] == wanted.items[stays]).all(axis=1)
    staying, fresh = np.flatnonzero(stays), np.flatnonzero(~stays)
    staying = staying[np.argsort(before[staying])]
    is_gone = np.ones(len(old.keys), bool)
    is_gone[before[staying]] = False
    order = np.concatenate((staying, fresh))
    keys = np.concatenate((old.keys[before[staying]], np.arange(next_key, next_key + len(fresh))))
    post = Post(trigger_id=trigger_id, host_id=host_id, keys=keys, instances=_ordered(wanted, order))
    return Rebinding(old.keys[is_gone], post, len(fresh))


def _is_other(old: Post, wanted: WantedColumns) -> bool:
    before, now = old.instances.trigger, wanted.trigger
    return before.compiled != now.compiled or before.definition != now.definition


def _ordered(columns: WantedColumns, order: NDArray[np.int64]) -> WantedColumns:
    places = order.tolist()
    return type(columns)(
        trigger=columns.trigger,
        parameters=[columns.parameters[place] for place in places],
        items=columns.items[order],
        units=[columns.units[place] for place in places],
    )
