"""Columns, instances and the bytes of an evaluator's memory, for its tests."""

import numpy as np

from tests.unit.triggers.reference import Sample
from triggers.evaluation import Columns, Evaluator, Instances

SECOND = 1_000_000


def columns(samples: list[Sample]) -> Columns:
    return Columns(
        items=np.array([item for item, _, _ in samples], np.int32),
        instants=np.array([at for _, at, _ in samples], np.int64),
        values=np.array([value for _, _, value in samples], np.float64),
    )


def instances(keys: list[int], items: list[tuple[int, ...]], is_open: bool = False) -> Instances:
    return Instances(
        keys=np.array(keys, np.int64),
        items=np.array(items, np.int32),
        is_open=np.full(len(keys), is_open),
        changed_at=np.zeros(len(keys), np.int64),
    )


def memory(evaluator: Evaluator) -> list[bytes]:
    """All that an evaluator remembers, as bytes; of the rings what their windows hold."""
    slots, windows = evaluator._slots, evaluator._windows
    tables = [slots._table, *(track._table for track in windows.tracks.values())]
    tables += [bundle.table for bundle in evaluator._bundles if bundle is not None]
    found = [column[: table._end].tobytes() for table in tables for column, _ in table._columns]
    rows = slots.all_rows()
    held = windows._read_rings(rows[slots.tracks[rows] > 0])
    return found + [column.tobytes() for column in held]
