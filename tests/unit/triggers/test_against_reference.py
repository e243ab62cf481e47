"""Columnar evaluation equals the plain one, and a dropped stage leaves no trace."""

import math
from dataclasses import dataclass, field
from random import Random

import numpy as np
import pytest

from tests.unit.triggers.reference import Instance, Reference, Sample
from tests.unit.triggers.samples import SECOND, columns, instances, memory
from triggers.compile import compile_expression
from triggers.evaluation import Evaluator, Staged

EXPRESSIONS = (
    "last(a) > 3",
    "avg(a, 5s) > 2",
    "avg(a, 12s) >= 2 and last(b) > 0",
    "max(a, 4s) = 5 or min(b, 9s) < -1",
    "min(a, 6s) > 0 and not max(b, 6s) > 4",
    "count(a, 5s) < 3",
    "count(a, 3s) >= 2 and nodata(b, 4s)",
    "nodata(a, 6s)",
    "timeleft(a, 8s, 7.0003) < 9.37",
    "(avg(a, 5s) - avg(a, 12s)) / last(a) > 0.3",
    "last(a) + last(b) > last(c)",
    'avg(a, 7s) > avg(host("x"), d, 7s)',
)
COMPILED = [compile_expression(text) for text in EXPRESSIONS]
ITEMS = [1, 2, 3, 7, 40]

KINDS = ["group"] * 6 + ["tick"] * 3 + ["add", "remove", "refill"]
ODD_VALUES = [math.nan, math.inf, 1e17, 0.1]


class Step:
    """Something that happens, drawn from a random stream."""

    def __init__(self, random: Random) -> None:
        self.kind = random.choice(KINDS)
        self.seconds = random.choice([0, 1, 1, 2, 3, 5, 7])
        self.samples: list[Sample] = [
            (random.choice([*ITEMS, 99]), random.randint(-4, 9), _value(random))
            for _ in range(random.choice([1, 2, 3, 5, 9, 20]))
        ]
        self.judgeable = {item for item in ITEMS if random.random() < 0.5}
        self.choice = random.randint(0, 1000)
        self.is_dropped = random.random() < 0.3


def _value(random: Random) -> float:
    return random.choice(ODD_VALUES) if random.random() < 0.15 else float(random.randint(-3, 7))


@dataclass
class Both:
    """An Evaluator beside the reference."""

    evaluator: Evaluator = field(default_factory=Evaluator)
    reference: Reference = field(default_factory=Reference)
    history: list[Sample] = field(default_factory=list)
    now: int = 1000 * SECOND
    next_key: int = 1

    def add(self, choice: int) -> None:
        compiled = COMPILED[choice % len(COMPILED)]
        items = tuple(ITEMS[(choice // 12 + 2 * place) % len(ITEMS)] for place in range(len(compiled.references)))
        is_open = choice % 5 == 0
        self.reference.add(Instance(self.next_key, compiled, items, is_open), self.now)
        self.evaluator.add(compiled, instances([self.next_key], [items], is_open), self.now)
        self.next_key += 1
        self.refill()

    def remove(self, choice: int) -> None:
        if self.reference.instances:
            key = sorted(self.reference.instances)[choice % len(self.reference.instances)]
            self.reference.remove(key)
            self.evaluator.remove(np.array([key, 10**9]))

    def refill(self) -> None:
        self.reference.refill(self.history)
        self.evaluator.refill(columns(self.history))
        self.evaluator.refilled(self.evaluator.needs().items)
        assert len(self.evaluator.needs().items) == 0

    def group(self, step: Step) -> None:
        samples = [(item, self.now + second * SECOND, value) for item, second, value in step.samples]
        if step.is_dropped:
            before = memory(self.evaluator)
            self.evaluator.evaluate(columns(samples), self.now).drop()
            assert memory(self.evaluator) == before, "a dropped group left a trace"
        states_before = [column.tolist() for column in self.evaluator.states()]
        staged = self.evaluator.evaluate(columns(samples), self.now)
        events, late = self.reference.evaluate(samples, self.now)
        assert staged.late.tolist() == late
        assert_same_events(staged, events)
        assert [column.tolist() for column in self.evaluator.states()] == states_before
        staged.commit()
        self.history += samples

    def tick(self, step: Step) -> None:
        def judge(items: np.ndarray) -> np.ndarray:
            return np.isin(items, list(step.judgeable))

        if step.is_dropped:
            before = memory(self.evaluator)
            self.evaluator.tick(self.now, judge).drop()
            assert memory(self.evaluator) == before, "a dropped tick left a trace"
        staged = self.evaluator.tick(self.now, judge)
        assert_same_events(staged, self.reference.tick(self.now, step.judgeable))
        staged.commit()

    def assert_same_states(self) -> None:
        keys, states = self.evaluator.states()
        wanted = [(key, instance.state) for key, instance in sorted(self.reference.instances.items())]
        assert list(zip(keys.tolist(), states.tolist(), strict=True)) == wanted


def assert_same_events(staged: Staged, events: list[tuple[int, int, int, float]]) -> None:
    found = staged.events
    assert list(zip(found.keys.tolist(), found.changes.tolist(), found.instants.tolist(), strict=True)) == [
        event[:3] for event in events
    ]
    assert found.values.tolist() == pytest.approx([event[3] for event in events], nan_ok=True, rel=1e-9)


@pytest.mark.parametrize("seed", range(120))
def test_columns_yield_what_one_value_at_a_time_yields(seed: int) -> None:
    random = Random(seed)
    both = Both()
    both.evaluator._windows.long_run = random.choice([1, 3, 64])  # both ways to take in an item's many samples
    for _ in range(random.randint(1, 9)):
        both.add(random.randint(0, 1000))
    for _ in range(random.choice([4, 25])):
        step = Step(random)
        both.now += step.seconds * SECOND
        match step.kind:
            case "group":
                both.group(step)
            case "tick":
                both.tick(step)
            case "add":
                both.add(step.choice)
            case "remove":
                both.remove(step.choice)
            case "refill":
                both.refill()
        both.assert_same_states()
