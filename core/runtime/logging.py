"""The log: one line an event, a constant sentence for people and fields for machines.

`2026-11-21T10:00:00.123Z warning spool The disk is full folder=/var/lib/watchkeep error="…"`, or the same as one JSON
object a line. Nothing in a field can start a new line.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import TextIO

_ROOT = "watchkeep"
_PLAIN = re.compile(r"[\w.:/@+%,<>()\[\]*-]+", re.ASCII)


class Log:
    """The log of one part: `log = Log("spool")`. Making one has no effect."""

    def __init__(self, part: str) -> None:
        self._part = part
        self._logger = logging.getLogger(f"{_ROOT}.{part}")

    def debug(self, message: str, **fields: Any) -> None:
        """Log what only somebody who looks for a bug wants to see."""
        self._write(logging.DEBUG, message, fields)

    def info(self, message: str, **fields: Any) -> None:
        """Log a change of state."""
        self._write(logging.INFO, message, fields)

    def warning(self, message: str, **fields: Any) -> None:
        """Log a fault that passes or was worked around."""
        self._write(logging.WARNING, message, fields)

    def error(self, message: str, **fields: Any) -> None:
        """Log a fault that needs somebody."""
        self._write(logging.ERROR, message, fields)

    def crash(self, message: str, error: BaseException, **fields: Any) -> None:
        """Log a bug with its trace, on one line."""
        trace = "".join(traceback.format_exception(error))
        self._write(logging.ERROR, message, {**fields, "error": error, "trace": trace})

    def _write(self, level: int, message: str, fields: dict[str, Any]) -> None:
        self._logger.log(level, "%s", message, extra={"part": self._part, "fields": fields})


class LineFormat(logging.Formatter):
    """Words: time, level, part, message, then key=value for each field."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the one line of an event."""
        words = [_instant(record), record.levelname.lower(), _part(record), _one_line(record.getMessage())]
        words += [f"{name}={_quoted(_text(value))}" for name, value in _fields(record).items()]
        return " ".join(words)


class JsonFormat(logging.Formatter):
    """One JSON object: time, level, part, message and the fields; a field never replaces one of these four."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the one line of an event."""
        fields = {name: _plain(value) for name, value in _fields(record).items()}
        fixed = {
            "time": _instant(record),
            "level": record.levelname.lower(),
            "part": _part(record),
            "message": record.getMessage(),
        }
        return json.dumps({**fixed, **{n: v for n, v in fields.items() if n not in fixed}}, ensure_ascii=False)


def configure(*, is_json: bool = False, level: str = "info", stream: TextIO | None = None) -> None:
    """Send the log to `stream` (standard error when None); replaces what an earlier call set up."""
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(JsonFormat() if is_json else LineFormat())
    logger = logging.getLogger(_ROOT)
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(level.upper())


def _instant(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _part(record: logging.LogRecord) -> str:
    return str(getattr(record, "part", record.name))


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = dict(getattr(record, "fields", {}))
    if record.exc_info and record.exc_info[1] is not None:
        fields["trace"] = "".join(traceback.format_exception(record.exc_info[1]))
    return fields


def _text(value: object) -> str:
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def _plain(value: object) -> object:
    return value if isinstance(value, bool | int | float | None) else _text(value)


def _quoted(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else _escaped(text)


def _one_line(text: str) -> str:
    return text if text.isprintable() else _escaped(text)


def _escaped(text: str) -> str:
    # json.dumps escapes control characters; the others that end lines or hide text (U+2028, U+202E …) are escaped too
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in quoted)
