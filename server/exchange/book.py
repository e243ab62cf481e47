"""What a file's names and figures mean: which item, number or text, kept or refused. Decides, and does nothing."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from core.model.record import MAX_TEXT_BYTES
from core.model.structured import canonical, canonical_of
from server.exchange.form import shorten
from server.intake.screening import AHEAD_US
from server.inventory.vocabulary import check_line, check_name
from server.store.instants import HOUR_US

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import timedelta

    from numpy.typing import NDArray

    from server.exchange.form import Faults, Rows
    from server.inventory.keep import Retention
    from server.store.inventory import Item

_MAX_KEY: Final = 255
_MAX_UNIT: Final = 32
_MAX_COUNT: Final = 2**31 - 1
TREND_FIGURES: Final = ("minimum", "average", "maximum", "count")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An item as a file speaks of it; `id` 0 until it is made. What lies before `oldest_us` is not kept."""

    host: str
    key: str
    type: str
    unit: str
    id: int
    oldest_us: dict[str, int]


@dataclass(slots=True, kw_only=True, eq=False)
class Settled:
    """Rows as columns of one length: `places` int32 of the book's entries, `at_us` int64, and figures.

    `numbers` float64 by name: `value`, or a trend's four; NaN where `texts`, by row, has a text instead.
    """

    places: NDArray[np.int32]
    at_us: NDArray[np.int64]
    numbers: dict[str, NDArray[np.float64]]
    texts: dict[int, str]
    too_old: int
    ahead: int


@dataclass(slots=True, kw_only=True)
class Book:
    """The items known, and those a file brings; where hosts are hidden from who imports, none is made."""

    retention: Retention
    now_us: int
    faults: Faults
    visible: Collection[str] | None
    entries: list[Entry] = field(default_factory=list)
    _places: dict[tuple[str, str], int] = field(default_factory=dict)
    _objected: set[object] = field(default_factory=set)

    def learn(self, items: Sequence[Item]) -> None:
        """Take in the items that are stored; of hidden hosts' none is known."""
        for item in items:
            if self.visible is None or item.host in self.visible:
                self._add(item.host, item.key, item.type, item.unit, item.id)

    def fresh(self) -> list[Entry]:
        """Return the entries that have no item yet."""
        return [entry for entry in self.entries if entry.id == 0]

    def settle(self, rows: Rows) -> Settled:
        """Judge rows; what is wrong becomes faults and is left out, what is refused is counted and left out."""
        names = zip(rows.columns["host"], rows.columns["item"], strict=True)
        found = list(map(self._places.get, names))
        if None in found:
            found = [self._place(rows, row) for row in range(len(rows))]
        places = np.array([-1 if place is None else place for place in found], dtype=np.int32)
        at_us = np.array(rows.at, dtype=np.int64)
        self._compare_types(rows, found)
        kept = places >= 0
        oldest = np.array([entry.oldest_us[rows.kind] for entry in self.entries] or [0], dtype=np.int64)
        is_old = kept & (at_us < oldest[places])
        is_ahead = kept & (at_us > self.now_us + AHEAD_US)
        kept &= ~(is_old | is_ahead)
        texts: dict[int, str] = {}
        if rows.kind == "samples":
            numbers = {"value": self._values(rows, places, kept, texts)}
        else:
            numbers = self._trends(rows, places, kept)
        position = np.cumsum(kept) - 1
        return Settled(
            places=places[kept],
            at_us=at_us[kept],
            numbers={name: column[kept] for name, column in numbers.items()},
            texts={int(position[row]): text for row, text in texts.items() if kept[row]},
            too_old=int(is_old.sum()),
            ahead=int(is_ahead.sum()),
        )

    def _add(self, host: str, key: str, type_: str, unit: str, item_id: int) -> int:
        keep = self.retention.of(host, key)

        def oldest(kept_for: timedelta) -> int:
            return self.now_us - round(kept_for.total_seconds() * 1_000_000)

        place = self._places[host, key] = len(self.entries)
        self.entries.append(
            Entry(
                host=host, key=key, type=type_, unit=unit, id=item_id,
                oldest_us={"samples": oldest(keep.history), "trends": oldest(keep.trends)},
            )
        )  # fmt: skip
        return place

    def _place(self, rows: Rows, row: int) -> int | None:
        """Return the place of a row's item, of a new one too; None and a fault when it can be none."""
        columns = rows.columns
        host, key = columns["host"][row], columns["item"][row]
        if (host, key) in self._places:
            return self._places[host, key]
        if (host, key) in self._objected:  # told once
            return None
        line = rows.lines[row]
        type_ = columns["type"][row] if "type" in columns else None
        if type_ is None or type_ == "":
            type_ = _type_of(columns["value"][row]) if rows.kind == "samples" else "number"
        unit = (columns["unit"][row] if "unit" in columns else None) or ""
        before = self.faults.count
        self._check(line, "host", host, check_name)
        self._check(line, "item", key, lambda text: _bounded(text, _MAX_KEY))
        self._check(line, "unit", unit, lambda text: _bounded(text, _MAX_UNIT) if unit else "")
        self._check(line, "type", type_, _type)
        if self.visible is not None and isinstance(host, str):
            message, remedy = f"there is no item {key!r} of a host {host!r}", "Ask for it to be made, or for the right."
            self.faults.add(line, "item", message, remedy)
        if self.faults.count > before:
            self._objected.add((host, key))
            return None
        return self._add(host, key, type_, unit, 0)

    def _check(self, line: int, column: str, value: Any, judge: Callable[[str], object]) -> None:
        try:
            judge(value if isinstance(value, str) else "")
        except ValueError as error:
            self.faults.add(line, column, f"{error}, found {shorten(value)}", "Write it as expected.")

    def _compare_types(self, rows: Rows, found: Sequence[int | None]) -> None:
        if "type" not in rows.columns:
            return
        for place, type_ in set(zip(found, rows.columns["type"], strict=True)):
            if place is None or type_ in (None, "", self.entries[place].type) or (place, type_) in self._objected:
                continue
            self._objected.add((place, type_))
            row = next(
                r for r, pair in enumerate(zip(found, rows.columns["type"], strict=True)) if pair == (place, type_)
            )
            entry = self.entries[place]
            message = f"{entry.key} of {entry.host} is stored as a {entry.type}, not as {shorten(type_)}"
            self.faults.add(rows.lines[row], "type", message, "Give the samples another item's name.")

    def _values(
        self, rows: Rows, places: NDArray[np.int32], kept: NDArray[np.bool_], texts: dict[int, str]
    ) -> NDArray[np.float64]:
        """Return the numbers, fill `texts` by row, and take from `kept` what is neither."""
        values = rows.columns["value"]
        are_texts = np.array([entry.type != "number" for entry in self.entries] or [False])[places] & kept
        if not are_texts.any():
            return self._floats(rows, "value", kept)
        for row in np.flatnonzero(are_texts).tolist():
            fit = _fit_document if self.entries[places[row]].type == "structured" else _fit_text
            try:
                texts[row] = fit(values[row])
            except ValueError as error:
                self.faults.add(rows.lines[row], "value", str(error), "Correct it, or leave the sample out.")
                kept[row] = False
        numbers = kept & ~are_texts
        floats = self._floats(rows, "value", numbers)
        kept &= numbers | are_texts
        return floats

    def _floats(self, rows: Rows, name: str, kept: NDArray[np.bool_]) -> NDArray[np.float64]:
        column = rows.columns[name]
        if kept.all():
            try:
                return np.array([float(value) for value in column], dtype=np.float64)
            except (ValueError, TypeError, OverflowError):
                pass
        floats = np.full(len(column), np.nan)
        for row in np.flatnonzero(kept).tolist():
            try:
                floats[row] = float(column[row])
            except (ValueError, TypeError, OverflowError):
                message = f"expected a number, found {shorten(column[row])}"
                self.faults.add(rows.lines[row], name, message, "Write it like 1.5, or nan, inf, -inf.")
                kept[row] = False
        return floats

    def _trends(self, rows: Rows, places: NDArray[np.int32], kept: NDArray[np.bool_]) -> dict[str, NDArray[np.float64]]:
        numbers = {name: self._floats(rows, name, kept) for name in TREND_FIGURES}
        at_us = np.array(rows.at, dtype=np.int64)
        are_texts = np.array([entry.type != "number" for entry in self.entries] or [False])[places]
        count = numbers["count"]
        objections = (
            (are_texts, "item", "only a number has trends", "Leave the item out."),
            (at_us % HOUR_US != 0, "at", "expected the beginning of an hour", "Write it like 2026-11-21T06:00:00Z."),
            (~((count >= 1) & (count <= _MAX_COUNT) & (count % 1 == 0)), "count",
             "expected how many samples the hour had, 1 or more", "Leave hours without samples out."),
        )  # fmt: skip
        for is_wrong, column, message, remedy in objections:
            for row in np.flatnonzero(is_wrong & kept).tolist():
                self.faults.add(rows.lines[row], column, message, remedy)
                kept[row] = False
        return numbers


def _type_of(value: Any) -> str:
    """Return the type of a new item by its first value; a text that could be a number is taken for one."""
    if isinstance(value, dict | list):
        return "structured"
    if not isinstance(value, str):
        return "number"
    try:
        float(value)
    except ValueError:
        return "text"
    return "number"


def _bounded(text: str, most: int) -> str:
    if not 1 <= len(text) <= most:
        raise ValueError(f"expected 1 to {most} letters")
    return check_line(text)


def _type(text: str) -> str:
    if text not in ("number", "text", "structured"):
        raise ValueError("expected number, text or structured")
    return text


def _fit_text(text: Any) -> str:
    if isinstance(text, str) and len(text) <= MAX_TEXT_BYTES:
        with suppress(UnicodeEncodeError):  # half of a surrogate pair
            if len(text.encode()) <= MAX_TEXT_BYTES:
                return text
    raise ValueError(f"expected a text of at most {MAX_TEXT_BYTES} bytes of UTF-8, found {shorten(text)}")


def _fit_document(value: Any) -> str:
    """Return a document's canonical form, given as JSON text (CSV, Parquet) or as itself (JSON lines)."""
    return canonical(value) if isinstance(value, str) else canonical_of(value)
