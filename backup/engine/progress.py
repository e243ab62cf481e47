"""What duplicity tells while it works: the records of its --log-fd."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

_RECORD: Final = re.compile(r"(DEBUG|INFO|NOTICE|WARNING|ERROR) (\d+)(?: (.*))?")
_PROGRESS_CODE: Final = 16  # NOTICE 16 bytes elapsed percent eta speed stalled
_UNREADABLE_CODES: Final = frozenset({8, 9, 10, 12})  # cannot iterate, stat, read, process
# What fails while a file is read has duplicity's code for everything, 1; its words are all there is to know it by. Its
# statistics count it under "Errors".
_LOST_WORDS: Final = re.compile(r"Error .+? getting delta for (.+)")
_STATISTIC: Final = re.compile(r"^([A-Z][A-Za-z]+) (\d+)(?: \(.*\))?$")
_LINE_LIMIT: Final = 64 << 10
_WORDS_LINES: Final = 200
_NAMES_KEPT: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is. share: 0 to 1, duplicity's guess; None where it has none (yet)."""

    phase: str
    stored_bytes: int = 0
    share: float | None = None
    eta_seconds: int | None = None
    bytes_per_second: float | None = None


class Together:
    """The progress of several duplicities that work side by side on equal parts of one thing."""

    def __init__(self, count: int) -> None:
        self._newest: list[Progress | None] = [None] * count

    def take(self, number: int, progress: Progress) -> Progress:
        """Take what one of them says; return how far all are. There is no share before each has told one."""
        self._newest[number] = progress
        known = [each for each in self._newest if each is not None]
        shares = [each.share for each in known if each.share is not None]
        left = [each.eta_seconds for each in known if each.eta_seconds is not None]
        rates = [each.bytes_per_second for each in known if each.bytes_per_second is not None]
        return Progress(
            phase=progress.phase,
            stored_bytes=sum(each.stored_bytes for each in known),
            share=sum(shares) / len(shares) if len(shares) == len(self._newest) else None,
            eta_seconds=max(left, default=None),
            bytes_per_second=sum(rates) if rates else None,
        )


@dataclass(slots=True, kw_only=True)
class Told:
    """What was told so far, bounded: the last words, the statistics, what could not be read."""

    words: list[str] = field(default_factory=list)
    statistics: dict[str, int] = field(default_factory=dict)
    unreadable: int = 0
    unreadable_names: list[str] = field(default_factory=list)


class Listener:
    """Takes the bytes of the log in any pieces and keeps what they say; `feed` returns the progress among them."""

    def __init__(self) -> None:
        self.told = Told()
        self._rest = b""
        self._is_warning = False

    def feed(self, piece: bytes) -> list[Progress]:
        """Take a piece; return the progress records it completed, oldest first. Never raises: odd lines are words."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if len(self._rest) > _LINE_LIMIT:
            self._rest = self._rest[:_LINE_LIMIT]
        found = (self._take(line.decode("utf-8", "replace")) for line in lines)
        return [progress for progress in found if progress is not None]

    def _take(self, line: str) -> Progress | None:
        told = self.told
        if line.startswith(". "):
            text = line[2:]
            statistic = _STATISTIC.match(text)
            if statistic is not None:
                told.statistics[statistic[1]] = int(statistic[2])
            elif text.strip():
                lost = _LOST_WORDS.match(text) if self._is_warning else None
                if lost is not None:
                    self._note_unreadable(lost[1])
                told.words.append(text)
                del told.words[:-_WORDS_LINES]
            return None
        record = _RECORD.fullmatch(line)
        if record is None:
            return None
        level, code, extra = record[1], int(record[2]), record[3] or ""
        self._is_warning = level == "WARNING" and code not in _UNREADABLE_CODES
        if level == "WARNING" and code in _UNREADABLE_CODES:
            self._note_unreadable(extra.strip("'\""))
        if level == "NOTICE" and code == _PROGRESS_CODE:
            return _progress(extra)
        return None

    def _note_unreadable(self, name: str) -> None:
        self.told.unreadable += 1
        if len(self.told.unreadable_names) < _NAMES_KEPT:
            self.told.unreadable_names.append(name)


def _progress(extra: str) -> Progress | None:
    fields = extra.split()
    if len(fields) != 6 or not all(part.lstrip("-").isdigit() for part in fields):
        return None
    stored, _, percent, eta, speed, _ = (int(part) for part in fields)
    return Progress(
        phase="saving",
        stored_bytes=stored,
        share=min(1.0, max(0.0, percent / 100)),
        eta_seconds=eta if eta >= 0 else None,
        bytes_per_second=float(speed),
    )
