"""Trigger evaluation one value at a time: slow, and plain enough to be believed."""

import math
from dataclasses import dataclass, field

from triggers.compile import Compiled
from triggers.syntax import Arithmetic, Call, Comparison, Logic, Negation, Node, Not, Number

Sample = tuple[int, int, float]  # item, instant, value


@dataclass
class Item:
    bound_at: int
    samples: list[tuple[int, float]] = field(default_factory=list)  # evaluated ones, ascending
    arrived_at: int | None = None
    advanced_at: int | None = None
    since: int = 0

    def window(self, end: int, length: int) -> list[tuple[int, float]]:
        return [(at, value) for at, value in self.samples if end - length < at <= end and not math.isnan(value)]


@dataclass
class Instance:
    key: int
    compiled: Compiled
    items: tuple[int, ...]
    is_open: bool = False
    state: int = 2
    changed_at: int = 0


class Reference:
    """What Evaluator promises; commits at once."""

    def __init__(self) -> None:
        self.items: dict[int, Item] = {}
        self.instances: dict[int, Instance] = {}
        self.yields: dict[tuple[Call, int], float] = {}

    def add(self, instance: Instance, now: int) -> None:
        self.instances[instance.key] = instance
        instance.state = 1 if instance.is_open else 2
        for item in instance.items:
            self.items.setdefault(item, Item(bound_at=now, since=now))

    def remove(self, key: int) -> None:
        self.instances.pop(key)
        read = {item for instance in self.instances.values() for item in instance.items}
        self.items = {number: item for number, item in self.items.items() if number in read}
        operands = {pair for instance in self.instances.values() for pair in operands_of(instance)}
        self.yields = {pair: value for pair, value in self.yields.items() if pair in operands}

    def refill(self, history: list[Sample]) -> None:
        for number, item in self.items.items():
            stored = {
                at: value if math.isfinite(value) else math.nan
                for which, at, value in reversed(history)
                if which == number
            }
            stored.update(item.samples)
            item.samples = sorted(stored.items())
            if stored:
                self._update(number, is_refill=True)

    def evaluate(self, group: list[Sample], now: int) -> tuple[list[tuple[int, int, int, float]], list[bool]]:
        before = {number: item.samples[-1][0] if item.samples else None for number, item in self.items.items()}
        late, taken = [], {}
        for number, at, value in group:
            newest = before.get(number)
            is_late = number in self.items and ((newest is not None and at <= newest) or (number, at) in taken)
            late.append(is_late)
            if number in self.items:
                self.items[number].arrived_at = now
                if not is_late:
                    taken[number, at] = value if math.isfinite(value) else math.nan
        events = []
        for instant in sorted({at for _, at in taken}):
            touched = [(number, value) for (number, at), value in taken.items() if at == instant]
            for number, value in touched:
                self.items[number].samples.append((instant, value))
                self.items[number].advanced_at = now
                self._update(number)
            numbers = {number for number, _ in touched}
            for key in sorted(self.instances):
                if numbers & set(self.instances[key].items):
                    events += self._judge(self.instances[key], instant)
        return sorted(events, key=lambda event: (event[2], event[0])), late

    def tick(self, now: int, judgeable: set[int]) -> list[tuple[int, int, int, float]]:
        changed = set()
        for call, number in {pair for instance in self.instances.values() for pair in operands_of(instance)}:
            after = self._at_tick(call, number, now, number in judgeable)
            before = self.yields.get((call, number), math.nan)
            if after != before and not (math.isnan(after) and math.isnan(before)):
                self.yields[call, number] = after
                changed.add((call, number))
        events = []
        for key in sorted(self.instances):
            if changed & set(operands_of(self.instances[key])):
                events += self._judge(self.instances[key], now)
        return sorted(events, key=lambda event: (event[2], event[0]))

    def _update(self, number: int, *, is_refill: bool = False) -> None:
        operands = {pair for instance in self.instances.values() for pair in operands_of(instance)}
        for call in {call for call, item in operands if item == number}:
            if not (is_refill and call.function == "nodata"):  # history is no arrival
                self.yields[call, number] = self._at_sample(call, number)

    def _at_sample(self, call: Call, number: int) -> float:
        item = self.items[number]
        end, newest = item.samples[-1]
        window = item.window(end, call.window_us)
        values = [value for _, value in window]
        match call.function:
            case "last":
                return newest
            case "nodata":
                return 0.0
            case "count":
                return float(len(window)) if item.since <= end - call.window_us else math.nan
            case _ if not values:
                return math.nan
            case "avg":
                return math.fsum(values) / len(values)
            case "min":
                return min(values)
            case "max":
                return max(values)
            case "timeleft":
                return time_left(window, end, call.window_us, call.arguments[0])
        raise AssertionError(call.function)

    def _at_tick(self, call: Call, number: int, now: int, is_judgeable: bool) -> float:
        item = self.items[number]
        before = self.yields.get((call, number), math.nan)
        if call.function == "last":
            return before
        if call.function == "nodata":
            silent = now - (item.arrived_at if item.arrived_at is not None else item.bound_at)
            if silent > call.window_us:
                return 1.0 if is_judgeable else math.nan
            return math.nan if item.arrived_at is None else 0.0
        elapsed = max(now - (item.advanced_at if item.advanced_at is not None else item.bound_at), 0)
        if call.function != "count":
            return math.nan if elapsed >= call.window_us else before
        if not item.samples:
            return 0.0 if elapsed > call.window_us and is_judgeable else math.nan
        end = item.samples[-1][0]
        full = len(item.window(end, call.window_us))
        slid = len(item.window(end + elapsed, call.window_us))
        if item.since > end + elapsed - call.window_us or (slid < full and not is_judgeable):
            return math.nan
        return float(slid)

    def _judge(self, instance: Instance, at: int) -> list[tuple[int, int, int, float]]:
        operands = {call: self.yields.get((call, item), math.nan) for call, item in operands_of(instance)}
        truth = condition(instance.compiled._parsed.tree, operands)
        instance.state = 2 if truth is None else int(truth)
        if truth is None or truth == instance.is_open:
            return []
        instance.is_open = truth
        instance.changed_at = max(instance.changed_at, at)
        values = [operands[call] for call in instance.compiled.calls if call.function != "nodata"]
        return [(instance.key, int(truth), instance.changed_at, values[0] if values else math.nan)]


def operands_of(instance: Instance) -> list[tuple[Call, int]]:
    compiled = instance.compiled
    return [
        (call, instance.items[place]) for call, place in zip(compiled.calls, compiled.reference_of_call, strict=True)
    ]


def time_left(window: list[tuple[int, float]], end: int, length: int, threshold: float) -> float:
    if (window[-1][0] - window[0][0]) * 2 < length or len(window) < 2:
        return math.nan
    seconds = [(at - end) / 1e6 for at, _ in window]
    values = [value for _, value in window]
    middle, level = math.fsum(seconds) / len(window), math.fsum(values) / len(window)
    slope = math.fsum((s - middle) * (v - level) for s, v in zip(seconds, values, strict=True)) / math.fsum(
        (s - middle) ** 2 for s in seconds
    )
    distance = threshold - (level - slope * middle)
    if distance == 0:
        return 0.0
    return distance / slope if distance * slope > 0 else math.inf


def number(node: Node, operands: dict[Call, float]) -> float:
    match node:
        case Number(value=value):
            return value
        case Call():
            return operands[node]
        case Negation(operand=inner):
            return -number(inner, operands)
        case Arithmetic(operator=operator, left=left, right=right):
            a, b = number(left, operands), number(right, operands)
            if operator == "/":
                return a / b if b != 0 else math.nan
            return {"+": a + b, "-": a - b, "*": a * b}[operator]
    raise AssertionError(node)


def condition(node: Node, operands: dict[Call, float]) -> bool | None:
    match node:
        case Comparison(operator=operator, left=left, right=right):
            a, b = number(left, operands), number(right, operands)
            if math.isnan(a) or math.isnan(b):
                return None
            return {"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b, "=": a == b, "!=": a != b}[operator]
        case Not(operand=inner):
            truth = condition(inner, operands)
            return None if truth is None else not truth
        case Logic(operator=operator, operands=inners):
            truths = [condition(inner, operands) for inner in inners]
            decisive = operator == "or"
            if decisive in truths:
                return decisive
            return None if None in truths else not decisive
        case _:
            value = number(node, operands)
            return None if math.isnan(value) else value != 0
