"""What evaluating one value costs, from a thousand to a million items.

Groups of 10,000 values, as ingest hands them over: hosts of 100 items in random order, each item at its interval. The
limit beside it is writing the same values to a column of their items (`numpy scatter`): nothing can be
cheaper. Times are processor time, so that busy neighbours matter little.

    python -m benchmarks.evaluation [--long] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from time import process_time

import numpy as np

from triggers.compile import compile_expression
from triggers.evaluation import Columns, Evaluator, Instances

GROUP = 10_000
ITEMS_PER_HOST = 100
START_US = 1_700_000_000_000_000


@dataclass(frozen=True, kw_only=True)
class Case:
    """One expression over every item."""

    name: str
    expression: str
    items: int
    interval_seconds: int
    window_seconds: int


@dataclass(frozen=True, kw_only=True)
class Figure:
    """What was measured."""

    name: str
    items: int
    values: int
    values_per_second: float
    nanoseconds_per_value: float
    limit_nanoseconds_per_value: float
    bytes_per_item: float


def resident_bytes() -> int:
    with open("/proc/self/statm") as statm:  # noqa: PTH123 - a file of the kernel
        return int(statm.read().split()[1]) * 4096


def measure(case: Case, values: int) -> Figure:
    """Fill the windows from history, then time `values` values in groups, committed one by one."""
    random = np.random.default_rng(7)
    before = resident_bytes()
    evaluator = Evaluator()
    items = np.arange(case.items, dtype=np.int32)
    instances = Instances(
        keys=items.astype(np.int64),
        items=items.reshape(-1, 1),
        is_open=np.zeros(case.items, bool),
        changed_at=np.zeros(case.items, np.int64),
    )
    evaluator.add(compile_expression(case.expression), instances, START_US)
    depth = case.window_seconds // case.interval_seconds
    for begin in range(0, case.items, 10_000):
        some = items[begin : begin + 10_000]
        instants = START_US - np.arange(depth + 1)[::-1] * case.interval_seconds * 1_000_000
        evaluator.refill(
            Columns(
                items=np.repeat(some, len(instants)),
                instants=np.tile(instants, len(some)),
                values=random.random(len(some) * len(instants)) * 100,
            )
        )
    evaluator.refilled(items)
    held = resident_bytes() - before
    hosts = items.reshape(-1, ITEMS_PER_HOST)
    seconds = limit = 0.0
    done = turn = 0
    column = np.zeros(case.items)
    while done < values:
        turn += 1
        order = random.permutation(hosts).reshape(-1)
        for begin in range(0, case.items, GROUP):
            group = order[begin : begin + GROUP]
            instants = np.full(len(group), START_US + turn * case.interval_seconds * 1_000_000)
            columns = Columns(items=group, instants=instants, values=random.random(len(group)) * 100)
            started = process_time()
            evaluator.evaluate(columns, START_US).commit()
            ended = process_time()
            column[group] = columns.values
            limit += process_time() - ended
            seconds += ended - started
            done += len(group)
            if done >= values:
                break
    return Figure(
        name=case.name,
        items=case.items,
        values=done,
        values_per_second=round(done / seconds),
        nanoseconds_per_value=round(seconds / done * 1e9, 1),
        limit_nanoseconds_per_value=round(limit / done * 1e9, 1),
        bytes_per_item=round(held / case.items, 1),
    )


def cases(item_counts: list[int]) -> list[Case]:
    """List what is measured for each number of items."""
    found = []
    for items in item_counts:
        for name, expression, interval, window in (
            ("last", "last(x) > 99.9", 10, 0),
            ("avg(5m), 10 s data", "avg(x, 5m) > 60", 10, 300),
            ("avg(5m), 1 s data", "avg(x, 5m) > 60", 1, 300),
            ("max(5m), 10 s data", "max(x, 5m) > 99.9", 10, 300),
        ):
            if window // interval * items > 100_000_000:
                continue  # a million items every second are more than one server takes, and 10 GB of windows
            found.append(
                Case(name=name, expression=expression, items=items, interval_seconds=interval, window_seconds=window)
            )
    return found


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--long", action="store_true", help="up to a million items and ten times the values")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args(arguments)
    counts = [1_000, 100_000, 1_000_000] if options.long else [1_000, 100_000]
    values = 2_000_000 if options.long else 200_000
    for case in cases(counts):
        figure = measure(case, values)
        if options.json:
            print(json.dumps(asdict(figure)), flush=True)
        else:
            print(
                f"{figure.name:20} {figure.items:>9,} items {figure.nanoseconds_per_value:>8,.0f} ns/value"
                f" {figure.values_per_second:>11,} values/s   numpy scatter {figure.limit_nanoseconds_per_value:.0f} ns"
                f"   {figure.bytes_per_item:,.0f} bytes/item",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:])
