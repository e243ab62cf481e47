"""The watch: the trigger instances of this reign, their evaluator, and which of them have an open problem."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from server.store.instants import to_datetime, to_us
from server.store.problems import ProblemOpening, ProblemResolution
from triggers.evaluation import Evaluator, Instances
from triggers.judgement.problem import Change

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from server.evaluation.bindings import Identity, Wanted
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
        self._instances: dict[int, Instance] = {}
        self._keys: dict[Identity, int] = {}
        self._next_key = 1
        self._open = {
            (p.trigger_id, p.host_id, p.parameter): OpenProblem(problem_id=p.id, opened_at_us=to_us(p.opened_at))
            for p in open_problems
        }

    def __len__(self) -> int:
        return len(self._instances)

    def items(self) -> set[int]:
        """Return the ids of all items some instance speaks of."""
        return {item for instance in self._instances.values() for item in instance.wanted.items}

    def instance(self, key: int) -> Instance:
        """Return the instance the evaluator calls `key`."""
        return self._instances[key]

    def rebind(
        self,
        wanted: Iterable[Wanted],
        trigger_ids: Mapping[tuple[str, str], int],
        host_ids: Mapping[str, int],
        now_us: int,
    ) -> None:
        """Make the instances equal to `wanted`: add what is new, replace what has another expression or other items."""
        goal = {each.identity: each for each in wanted}
        gone = [
            key
            for identity, key in self._keys.items()
            if identity not in goal or _differs(self._instances[key].wanted, goal[identity])
        ]
        self._remove(gone)
        added: dict[Compiled, list[Instance]] = defaultdict(list)
        for identity, each in goal.items():
            if identity not in self._keys:
                instance = Instance(
                    key=self._next_key,
                    wanted=each,
                    trigger_id=trigger_ids[identity.template, identity.trigger],
                    host_id=host_ids[identity.host],
                )
                self._next_key += 1
                self._keys[identity] = instance.key
                self._instances[instance.key] = instance
                added[each.trigger.compiled].append(instance)
        for compiled, instances in added.items():
            self.evaluator.add(compiled, self._columns(instances), now_us)

    def orphans(self) -> list[OpenProblem]:
        """Return open problems no instance speaks for any more: their trigger, host or item is gone."""
        places = {instance.place for instance in self._instances.values()}
        return [problem for place, problem in self._open.items() if place not in places]

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
                instance = self._instances[key]
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

    def _remove(self, keys: Sequence[int]) -> None:
        if not keys:
            return
        self.evaluator.remove(np.array(keys, np.int64))
        for key in keys:
            del self._keys[self._instances.pop(key).wanted.identity]

    def _columns(self, instances: Sequence[Instance]) -> Instances:
        problems = [self._open.get(instance.place) for instance in instances]
        return Instances(
            keys=np.array([instance.key for instance in instances], np.int64),
            items=np.array([instance.wanted.items for instance in instances], np.int32).reshape(len(instances), -1),
            is_open=np.array([problem is not None for problem in problems], np.bool_),
            changed_at=np.array([problem.opened_at_us if problem else 0 for problem in problems], np.int64),
        )


def _differs(old: Wanted, new: Wanted) -> bool:
    return (
        old.items != new.items
        or old.trigger.compiled != new.trigger.compiled
        or old.trigger.definition != new.trigger.definition
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
