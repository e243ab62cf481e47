"""The watch: the trigger instances of this reign, their evaluator, and which of them have an open problem."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from server.evaluation.posts import Post, PostsByKey, follow
from server.store.instants import to_datetime, to_us
from server.store.problems import ProblemOpening, ProblemResolution
from triggers.evaluation import Evaluator, Instances
from triggers.judgement.problem import Change

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from server.evaluation.bindings import Wanted, WantedColumns
    from server.evaluation.posts import Rebinding
    from server.store.problems import Problem, ProblemEvent
    from triggers.compile import Compiled
    from triggers.judgement.problem import Events


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One row of the evaluator, with what the store needs to write its problems."""

    key: int
    wanted: Wanted
    trigger_id: int
    host_id: int

    @property
    def place(self) -> tuple[int, int, str]:
        """How the store identifies it: (trigger id, host id, parameter)."""
        return (self.trigger_id, self.host_id, self.wanted.parameter)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenProblem:
    """A problem that is open, and since when (µs since 1970 UTC)."""

    problem_id: int
    opened_at_us: int


@dataclass(frozen=True, slots=True)
class Turn:
    """Events that can be written together: none concerns the same instance as another of the turn."""

    openings: list[tuple[Instance, ProblemOpening]]
    resolutions: list[tuple[Instance, ProblemResolution]]


class Watch:
    """Instances come and go with definitions and items; problems are the store's, this is the memory of them."""

    def __init__(self, open_problems: Iterable[Problem] = ()) -> None:
        self.evaluator = Evaluator()
        self._posts: dict[str, dict[tuple[str, str], Post]] = {}  # by host, then by template and trigger
        self._hosts: dict[int, str] = {}
        self._post_of_key = PostsByKey()
        self._next_key = 1
        self._open = {
            (p.trigger_id, p.host_id, p.parameter): OpenProblem(problem_id=p.id, opened_at_us=to_us(p.opened_at))
            for p in open_problems
        }

    def __len__(self) -> int:
        return len(self._post_of_key)

    def items(self, hosts: Iterable[str]) -> NDArray[np.int32]:
        """Return the ids, ascending, of all items the instances on these hosts speak of."""
        posts = [post for host in hosts for post in self._posts.get(host, {}).values()]
        return np.unique(np.concatenate([np.empty(0, np.int32), *(post.instances.items.ravel() for post in posts)]))

    def instance(self, key: int) -> Instance:
        """Return the instance the evaluator calls `key`."""
        post = self._post_of_key[key]
        wanted = post.instances.at(post.place_of(key))
        return Instance(key=key, wanted=wanted, trigger_id=post.trigger_id, host_id=post.host_id)

    def rebind(
        self,
        hosts: Iterable[str],
        wanted: Iterable[WantedColumns],
        trigger_ids: Mapping[tuple[str, str], int],
        host_ids: Mapping[str, int],
        now_us: int,
    ) -> None:
        """Make the instances on `hosts` equal to `wanted`: add what is new, replace what means something else now.

        What other hosts have stays as it is. Every trigger wanted is of one of `hosts`.
        """
        goal: dict[str, dict[tuple[str, str], WantedColumns]] = {host: {} for host in hosts}
        for each in wanted:
            goal[each.trigger.host][each.trigger.name] = each
        gone: list[NDArray[np.int64]] = []
        added: dict[Compiled, list[Instances]] = defaultdict(list)
        for host, columns in goal.items():
            before, after = self._posts.pop(host, {}), dict[tuple[str, str], Post]()
            gone += [post.keys for name, post in before.items() if name not in columns]
            for name, each in columns.items():
                change = follow(before.get(name), each, trigger_ids[name], host_ids[host], self._next_key)
                self._next_key += change.added
                gone.append(change.gone)
                after[name] = change.post
                self._hosts[change.post.host_id] = host
                if change.added:
                    added[each.trigger.compiled].append(self._columns(change))
            if after:
                self._posts[host] = after
        self._remove(np.concatenate([np.empty(0, np.int64), *gone]))
        for posts in (self._posts.get(host, {}) for host in goal):
            for post in posts.values():
                self._post_of_key.put(post)
        for compiled, instances in added.items():
            self.evaluator.add(compiled, _joined(instances), now_us)

    def orphans(self) -> list[OpenProblem]:
        """Return open problems no instance speaks for any more: their trigger, host or item is gone."""
        spoken: dict[tuple[int, int], set[str]] = {}
        found = []
        for (trigger_id, host_id, parameter), problem in self._open.items():
            if (trigger_id, host_id) not in spoken:
                posts = self._posts.get(self._hosts.get(host_id, ""), {}).values()
                own = [post for post in posts if post.trigger_id == trigger_id]
                spoken[trigger_id, host_id] = {name for post in own for name in post.instances.parameters}
            if parameter not in spoken[trigger_id, host_id]:
                found.append(problem)
        return found

    def opened_at(self, instance: Instance) -> datetime:
        """Return since when the instance's open problem is open."""
        return to_datetime(self._open[instance.place].opened_at_us)

    def turns(self, events: Events) -> Iterator[Turn]:
        """Arrange events so that each turn can be written at once; write and `note` a turn before taking the next."""
        waiting = list(
            zip(
                events.keys.tolist(),
                events.changes.tolist(),
                events.instants.tolist(),
                events.values.tolist(),
                strict=True,
            )
        )
        while waiting:
            turn, later, seen = Turn([], []), [], set[int]()
            for event in waiting:
                key, change, at_us, value = event
                if key in seen:
                    later.append(event)
                    continue
                seen.add(key)
                instance = self.instance(key)
                value_or_none = value if np.isfinite(value) else None
                if change == Change.OPENED:
                    turn.openings.append((instance, _opening(instance, at_us, value_or_none)))
                elif (problem := self._open.get(instance.place)) is not None:
                    resolution = ProblemResolution(
                        problem_id=problem.problem_id, at=to_datetime(at_us), value=value_or_none
                    )
                    turn.resolutions.append((instance, resolution))
            yield turn
            waiting = later

    def note(self, turn: Turn, opened: Sequence[ProblemEvent], resolved: Sequence[ProblemEvent]) -> None:
        """Remember which problems a written turn opened and resolved."""
        at = {instance.place: opening.at for instance, opening in turn.openings}
        for event in opened:
            place = (event.trigger_id, event.host_id, event.parameter)
            self._open[place] = OpenProblem(problem_id=event.problem_id, opened_at_us=to_us(at[place]))
        for event in resolved:
            self._open.pop((event.trigger_id, event.host_id, event.parameter), None)

    def forget(self, problem_ids: Iterable[int]) -> None:
        """Forget open problems that were resolved for want of an instance."""
        gone = set(problem_ids)
        self._open = {place: problem for place, problem in self._open.items() if problem.problem_id not in gone}

    def snapshot(self) -> dict[tuple[int, int, str], OpenProblem]:
        """Return the open problems as they are, to `restore` when a transaction fails."""
        return dict(self._open)

    def restore(self, snapshot: dict[tuple[int, int, str], OpenProblem]) -> None:
        """Undo what was noted since the snapshot."""
        self._open = snapshot

    def _remove(self, keys: NDArray[np.int64]) -> None:
        if len(keys):
            self.evaluator.remove(keys)
            self._post_of_key.forget(keys)

    def _columns(self, change: Rebinding) -> Instances:
        """Return what the evaluator has to know of the instances a change adds."""
        post, begin = change.post, len(change.post.keys) - change.added
        changed_at = np.zeros(change.added, np.int64)
        is_open = np.zeros(change.added, np.bool_)
        if self._open:
            for place, parameter in enumerate(post.instances.parameters[begin:]):
                if (problem := self._open.get((post.trigger_id, post.host_id, parameter))) is not None:
                    is_open[place], changed_at[place] = True, problem.opened_at_us
        return Instances(
            keys=post.keys[begin:], items=post.instances.items[begin:], is_open=is_open, changed_at=changed_at
        )


def _joined(parts: Sequence[Instances]) -> Instances:
    return Instances(
        keys=np.concatenate([part.keys for part in parts]),
        items=np.concatenate([part.items for part in parts]),
        is_open=np.concatenate([part.is_open for part in parts]),
        changed_at=np.concatenate([part.changed_at for part in parts]),
    )


def _opening(instance: Instance, at_us: int, value: float | None) -> ProblemOpening:
    return ProblemOpening(
        trigger_id=instance.trigger_id,
        host_id=instance.host_id,
        parameter=instance.wanted.parameter,
        severity=instance.wanted.trigger.definition.severity,
        name=instance.wanted.title,
        at=to_datetime(at_us),
        value=value,
        unit=instance.wanted.unit,
        items=instance.wanted.items,
    )
