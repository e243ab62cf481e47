"""New lines of a log file, as they are written; how far it was read is remembered over a restart."""

import json
import os
import time
import zlib
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Final

from core.config.reader import setting
from probes.allowed import require_log
from probes.declaration import Afterwards, Failure, Item, Reading, Visit, probe
from probes.following import Position, advance, end_of, start_of
from probes.patterns import check_pattern, find_groups, is_found

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CHUNK_BYTES: Final = 256 * 1024
_MOST_BYTES: Final = 16 * 1024 * 1024  # in one visit; a second later the next goes on
_MOST_SECONDS: Final = 3.0
_LONGEST_LINE: Final = 4000
_BURST_SECONDS: Final = 10  # so many seconds' worth of lines may come at once
_TOTALS_SECONDS: Final = 10.0


def _check_path(path: str) -> str | None:
    return None if path.startswith("/") else "expected an absolute path"


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Which lines of which file."""

    path: str = field(metadata=setting("the log file", check=_check_path))
    name: str | None = field(default=None, metadata=setting("name of the log in its items; left out: the path"))
    pattern: str | None = field(
        default=None,
        metadata=setting(
            "only lines in which this regular expression is found; its group (?P<text>…) is published instead of"
            " the line, its group (?P<value>…) as a number",
            check=check_pattern,
        ),
    )
    exclude: str | None = field(
        default=None, metadata=setting("no lines in which this regular expression is found", check=check_pattern)
    )
    lines_per_second: int = field(
        default=100, metadata=setting("lines published at most, in the mean; more are counted as skipped", minimum=1)
    )
    at_once: bool = field(
        default=True, metadata=setting("whether it is looked every second, and not only when due, for new lines")
    )
    from_start: bool = field(
        default=False, metadata=setting("whether lines count that were there when the file was first seen")
    )


_ITEMS = (
    Item(
        key="log.line",
        unit="",
        description="A line that matched, or what it was to yield",
        parameter="log",
        type="text",
    ),
    Item(key="log.value", unit="", description="The number found in a line that matched", parameter="log"),
    Item(key="log.matched", unit="", description="Lines that matched since the log is watched", parameter="log"),
    Item(key="log.skipped", unit="", description="Those of them that came too fast to publish", parameter="log"),
)

_Seen = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """What is known of the log between visits. `seen` is the file as it was when nothing more was to be read."""

    position: Position
    matched: int = 0
    skipped: int = 0
    allowance: float = inf
    told_at: float = 0.0
    seen: _Seen | None = None


def _has_news(visit: Visit, parameters: Parameters) -> bool:
    state, found = visit.kept.get("state"), _look(parameters.path)
    return found is not None and isinstance(state, _State) and found != state.seen


@probe("log.file", items=_ITEMS, parameters=Parameters, may_block=True, has_news=_has_news, timeout_seconds=10.0)
def read_log(visit: Visit, parameters: Parameters) -> "Iterator[Reading | Failure | Afterwards]":
    """Yield each new line that matches; the position moves on only when all of them lie in the spool.

    So an agent that is killed loses none and may publish some again. A file first seen is read from its end.
    """
    require_log(parameters.path, visit.logs)
    label = parameters.name or parameters.path
    file = _file_of(visit.folder, parameters)
    seen = _look(parameters.path)  # before reading: what is written meanwhile shall be news
    state = visit.kept.get("state")
    if not isinstance(state, _State):
        state = _load(file) or _State(position=(start_of if parameters.from_start else end_of)(parameters.path))
    position, matched, skipped = state.position, state.matched, state.skipped
    rate = parameters.lines_per_second
    allowance = min(float(_BURST_SECONDS * rate), state.allowance + visit.elapsed_seconds * rate)
    give_up_at, left_bytes, is_behind = time.monotonic() + _MOST_SECONDS, _MOST_BYTES, True
    while is_behind and left_bytes > 0 and time.monotonic() < give_up_at:
        found = advance(parameters.path, position, _CHUNK_BYTES)
        position, is_behind, left_bytes = found.position, found.is_behind, left_bytes - _CHUNK_BYTES
        if found.gap:
            yield Failure(found.gap)
        for line in found.lines:
            readings = _readings(line, parameters, label)
            matched += bool(readings)
            if readings and allowance < 1:
                skipped += 1
            elif readings:
                allowance -= 1
                yield from readings
    is_told = (matched, skipped) == (state.matched, state.skipped) and visit.at < state.told_at + _TOTALS_SECONDS
    if not is_told or not state.told_at:
        yield Reading("log.matched", float(matched), label)
        yield Reading("log.skipped", float(skipped), label)
    if "unsaved" in visit.kept:
        yield Failure(f"{file} cannot be written, so lines may come twice after a restart: {visit.kept['unsaved']}")
    after = _State(
        position=position,
        matched=matched,
        skipped=skipped,
        allowance=allowance,
        told_at=state.told_at if is_told else visit.at,
        seen=None if is_behind else seen,
    )
    yield Afterwards(partial(_keep, visit, file, after))


def _readings(line: bytes, parameters: Parameters, label: str) -> list[Reading]:
    """Return what a line yields, nothing when it does not match; it is cut, so that no expression takes for ever."""
    text = line[: 4 * _LONGEST_LINE].decode(errors="replace").rstrip("\r")[:_LONGEST_LINE]
    if parameters.exclude is not None and is_found(parameters.exclude, text):
        return []
    if parameters.pattern is None:
        return [Reading("log.line", text, label)]
    groups = find_groups(parameters.pattern, text)
    if groups is None:
        return []
    readings = [Reading("log.line", groups.get("text") or text, label)]
    with suppress(KeyError, ValueError):  # there is no such group, or no number in it
        readings.append(Reading("log.value", float(groups["value"]), label))
    return readings


def _look(path: str) -> _Seen | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - asked every second, and 3 times cheaper than Path
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _file_of(folder: "Path | None", parameters: Parameters) -> "Path | None":
    if folder is None:
        return None
    identity = json.dumps([parameters.path, parameters.name, parameters.pattern, parameters.exclude]).encode()
    return folder / f"log-{zlib.crc32(identity):08x}{zlib.adler32(identity):08x}.json"


def _load(file: "Path | None") -> _State | None:
    """Return what an earlier agent remembered; None when it did not or the file is damaged."""
    if file is None:
        return None
    try:
        found = json.loads(file.read_bytes())
        position = Position(**{name: int(value) for name, value in found["position"].items()})
        return _State(position=position, matched=int(found["matched"]), skipped=int(found["skipped"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _keep(visit: Visit, file: "Path | None", state: _State) -> None:
    """Remember `state`, on disk too. Without fsync: a power cut may repeat lines, as it may cost the spool's last."""
    before = visit.kept.get("state")
    visit.kept["state"] = state
    visit.kept.pop("unsaved", None)
    if file is None or (isinstance(before, _State) and before.position == state.position):
        return
    content = {"position": asdict(state.position), "matched": state.matched, "skipped": state.skipped}
    draft = file.with_suffix(".new")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.write_text(json.dumps(content), encoding="ascii")
        draft.replace(file)
    except OSError as error:
        visit.kept["unsaved"] = error.strerror or str(error)
