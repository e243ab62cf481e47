"""The forms a file of history can have; each has one module with an encoder and a decoder (see registry.py).

Columns of samples: host, item, type, unit, at, value, late; of trends: host, item, unit, at, minimum, average,
maximum, count. Instants are ISO 8601 in UTC to the microsecond. Reading, the order of the columns is free; `type`,
`unit` and `late` may be missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import numpy as np

from server.store.instants import EPOCH

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

    from numpy.typing import NDArray

    from server.store.paging import SampleRows, TrendRows

Kind = Literal["samples", "trends"]
SAMPLE_COLUMNS: Final = ("host", "item", "type", "unit", "at", "value", "late")
TREND_COLUMNS: Final = ("host", "item", "unit", "at", "minimum", "average", "maximum", "count")
REQUIRED: Final[dict[Kind, tuple[str, ...]]] = {
    "samples": ("host", "item", "at", "value"),
    "trends": ("host", "item", "at", "minimum", "average", "maximum", "count"),
}
ROWS_AT_ONCE: Final = 20_000
BYTES_AT_ONCE: Final = 8 << 20
"""Long lines come fewer at once: so much of a file, and what little more one step reads."""
MAX_FAULTS: Final = 50
_NAMES: Final = ("host", "item", "type", "unit")
_YEARS: Final = range(1970, 2201)


class Encoder(Protocol):
    """Writes one file: `head`, then any rows of one kind, then `tail`."""

    def head(self) -> bytes:
        """Return what the file begins with."""

    def samples(self, rows: SampleRows) -> bytes:
        """Return these samples in the file's form; may be held back until there are more."""

    def trends(self, rows: TrendRows) -> bytes:
        """Return these hours in the file's form; may be held back until there are more."""

    def tail(self) -> bytes:
        """Return what was held back, and what the file ends with."""


@dataclass(slots=True, kw_only=True)
class Rows:
    """Some rows of a file as columns of one length; `lines` count from 1, `at` is µs since 1970 UTC.

    `columns` has the kind's other columns by name, as far as the file has them: names are text, figures are what
    the form gives (text or numbers) and not judged yet.
    """

    kind: Kind
    lines: Sequence[int]
    at: Sequence[int]
    columns: dict[str, Sequence[Any]]

    def __len__(self) -> int:
        return len(self.lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFault:
    """What is wrong at a place of a file: `line` (of Parquet: the row) and `column` by name, with a remedy."""

    file: str
    line: int
    column: str
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.column}: {self.message}. {self.remedy}"


@dataclass(slots=True, kw_only=True)
class Faults:
    """Everything that is wrong with a file, of which the first ones are kept and all counted."""

    file: str
    found: list[RowFault] = field(default_factory=list)
    count: int = 0

    def add(self, line: int, column: str, message: str, remedy: str) -> None:
        """Remember a fault."""
        self.count += 1
        if len(self.found) < MAX_FAULTS:
            self.found.append(RowFault(file=self.file, line=line, column=column, message=message, remedy=remedy))


class Decoder(Protocol):
    """Reads one file from its beginning; what cannot be read is a fault, and the row is left out."""

    def __call__(self, stream: BinaryIO, faults: Faults) -> Iterator[Rows]:
        """Yield the rows, at most ROWS_AT_ONCE at once."""


def write_instants(at_us: NDArray[np.int64]) -> list[str]:
    """Return instants as ISO 8601 text without the zone, to the microsecond."""
    texts: list[str] = np.datetime_as_string(at_us.view("datetime64[us]")).tolist()
    return texts


def read_instant(text: str) -> int:
    """Return ISO 8601 text with its offset from UTC as µs since 1970 UTC. Raises ValueError, TypeError."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None or at.year not in _YEARS:
        raise ValueError(text)
    since = at - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def read_instants(texts: Sequence[Any], lines: Sequence[int], faults: Faults) -> list[int | None]:
    """Return all of them, None and a fault where there is none."""
    try:
        return [read_instant(text) for text in texts]
    except (ValueError, TypeError):
        return [_read_or_tell(text, line, faults) for text, line in zip(texts, lines, strict=True)]


def _read_or_tell(text: Any, line: int, faults: Faults) -> int | None:
    try:
        return read_instant(text)
    except (ValueError, TypeError):
        message = f"expected an instant of the years 1970 to 2200 with its offset from UTC, found {shorten(text)}"
        faults.add(line, "at", message, f"Write it like {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}.")
        return None


def kept_rows(kind: Kind, lines: Sequence[int], columns: dict[str, Sequence[Any]], faults: Faults) -> Rows:
    """Make rows of raw columns, `at` still text; those without an instant are left out with a fault."""
    instants = read_instants(columns.pop("at"), lines, faults)
    if None in instants:
        kept = [place for place, at in enumerate(instants) if at is not None]
        lines = [lines[place] for place in kept]
        columns = {name: [column[place] for place in kept] for name, column in columns.items()}
    return Rows(kind=kind, lines=lines, at=[at for at in instants if at is not None], columns=columns)


def keep_complete(rows: Rows, faults: Faults) -> Rows:
    """Leave out rows in which something needed is missing (None) or a name is no text, with a fault each."""
    missing = set()
    for name in _NAMES:
        column = rows.columns.get(name, ())
        if not {type(value) for value in column} <= {str, type(None)}:
            for place in (place for place, value in enumerate(column) if not isinstance(value, str | None)):
                message = f"expected a text, found {shorten(column[place])}"
                faults.add(rows.lines[place], name, message, "Write it in quotes.")
                missing.add(place)
    for name, column in (
        ("at", rows.at),
        *((name, rows.columns[name]) for name in REQUIRED[rows.kind] if name != "at"),
    ):
        if None in column:
            for place in (place for place, value in enumerate(column) if value is None):
                faults.add(rows.lines[place], name, "it is missing", f"Needed are: {', '.join(REQUIRED[rows.kind])}.")
                missing.add(place)
    if not missing:
        return rows
    kept = [place for place in range(len(rows)) if place not in missing]
    return Rows(
        kind=rows.kind,
        lines=[rows.lines[place] for place in kept],
        at=[rows.at[place] for place in kept],
        columns={name: [column[place] for place in kept] for name, column in rows.columns.items()},
    )


def judge_columns(names: Sequence[str], faults: Faults, line: int = 1) -> Kind | None:
    """Return the kind a file with these columns holds; None and the faults when it is none."""
    before = faults.count
    kind: Kind = "trends" if "average" in names and "value" not in names else "samples"
    known = SAMPLE_COLUMNS if kind == "samples" else TREND_COLUMNS
    for name in sorted(set(names) - set(known)):
        faults.add(line, name[:60], f"there is no column {shorten(name)}", f"Known are: {', '.join(known)}.")
    for name in REQUIRED[kind]:
        if name not in names:
            faults.add(line, name, "the column is missing", f"Needed are: {', '.join(REQUIRED[kind])}.")
    if len(set(names)) != len(names):
        faults.add(line, "", "a column is there twice", "Give every column once.")
    return kind if faults.count == before else None


def shorten(value: Any) -> str:
    """Return a value as a fault shows it."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
