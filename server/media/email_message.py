"""Writes a notice as a mail: text and HTML, one thread per problem; pure but for the date."""

from __future__ import annotations

import hashlib
import html
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

_MAX_LINE: Final = 300
_MAX_SUBJECT: Final = 150
_TITLES: Final = {
    "opened": "Problem",
    "reminder": "Problem, still open",
    "acknowledged": "Acknowledged",
    "note": "Note",
    "resolved": "Resolved",
    "test": "Test message",
}
_COLOURS: Final = {"information": "#2f6f9f", "warning": "#8a6100", "average": "#a64b00", "high": "#b3261e",
                   "disaster": "#7a0016"}  # fmt: skip


def write_mail(
    payload: Mapping[str, Any], key: UUID, *, sender: str, domain: str, to: Sequence[str], date: datetime
) -> EmailMessage:
    """Return the mail of a notice. Message-ID and thread are the same at every attempt.

    Whatever stands in the payload came from watched machines or people: it is cut to lines of printable text for
    headers, and escaped for HTML.
    """
    mail = EmailMessage(policy=SMTP)
    mail["From"] = sender
    mail["To"] = ", ".join(to)
    mail["Date"] = format_datetime(date)
    event = str(payload.get("event"))
    root = thread_root(payload, to, domain)
    is_root = event == "opened"
    mail["Subject"] = _subject(payload) if is_root or event == "test" else f"Re: {_subject(payload)}"
    mail["Message-ID"] = root if is_root else f"<{key}@{domain}>"
    if not is_root and event != "test":
        mail["In-Reply-To"] = root
        mail["References"] = root
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Watchkeep-Key"] = str(key)
    mail["X-Watchkeep-Event"] = _line(event)
    title, rows = _TITLES.get(event, "Notice"), _rows(payload)
    mail.set_content(_write_text(title, payload, rows))
    mail.add_alternative(_write_html(title, payload, rows), subtype="html")
    return mail


def thread_root(payload: Mapping[str, Any], to: Sequence[str], domain: str) -> str:
    """Return the Message-ID of the opening's notice: made of the problem and of who gets it, so the same for ever."""
    what = f"{payload.get('problem')}/{payload.get('opened_at')}/{'/'.join(to)}"
    return f"<problem-{payload.get('problem')}-{hashlib.sha256(what.encode()).hexdigest()[:24]}@{domain}>"


def _subject(payload: Mapping[str, Any]) -> str:
    """Return the same subject for all of a problem's mails, since many programs need that for a thread."""
    text = f"[{_line(payload.get('severity'))}] {_line(payload.get('host'))}: {_line(payload.get('name'))}"
    return text if len(text) <= _MAX_SUBJECT else text[: _MAX_SUBJECT - 1] + "…"


def _rows(payload: Mapping[str, Any]) -> list[tuple[str, str]]:
    value = payload.get("value")
    rows = [
        ("Host", payload.get("host")),
        ("Severity", payload.get("severity")),
        ("Value", None if value is None else f"{value:g}"),
        ("Parameter", payload.get("parameter")),
        ("Opened", payload.get("opened_at")),
        ("Resolved", payload.get("resolved_at")),
        ("By", payload.get("by")),
        ("At", payload.get("at")),
        ("Escalation", _say_step(payload)),
        ("Trigger", f"{payload.get('name')} ({payload.get('template')})" if payload.get("template") else None),
        ("Number", payload.get("problem")),
        ("Link", payload.get("link")),
    ]
    return [(label, _line(each)) for label, each in rows if each not in (None, "")]


def _say_step(payload: Mapping[str, Any]) -> str | None:
    if payload.get("escalation") is None:
        return None
    again = f", notice {payload['repetition']}" if payload.get("repetition", 1) > 1 else ""
    return f"{payload['escalation']}, step {payload.get('step')}{again}"


def _write_text(title: str, payload: Mapping[str, Any], rows: Sequence[tuple[str, str]]) -> str:
    words = [f"> {line}" for line in _paragraph(payload.get("text"))]
    lines = [f"{title}: {_line(payload.get('name'))}", "", *words, *([""] if words else [])]
    advice = _paragraph(payload.get("description"))
    below = ["", "What to do:", *advice] if advice else []
    return "\n".join([*lines, *(f"{label + ':':<12}{each}" for label, each in rows), *below, ""])


def _write_html(title: str, payload: Mapping[str, Any], rows: Sequence[tuple[str, str]]) -> str:
    is_over = payload.get("event") == "resolved"
    colour = "#1b6e3c" if is_over else _COLOURS.get(str(payload.get("severity")), "#444444")
    cells = "".join(
        f'<tr><th align="left" style="padding:2px 16px 2px 0">{label}</th><td>{_write_cell(label, each)}</td></tr>'
        for label, each in rows
    )
    words = "<br>".join(html.escape(line) for line in _paragraph(payload.get("text")))
    quote = f'<blockquote style="margin:8px 0;padding-left:12px;border-left:3px solid #999">{words}</blockquote>'
    advice = "<br>".join(html.escape(line) for line in _paragraph(payload.get("description")))
    below = f"<p><b>What to do</b><br>{advice}</p>" if advice else ""
    return (
        '<!doctype html><html><body style="font-family:sans-serif">'
        f'<p style="font-size:18px;border-left:6px solid {colour};padding-left:10px">'
        f"<b>{html.escape(title)}</b>: {html.escape(_line(payload.get('name')))}</p>"
        f"{quote if words else ''}<table>{cells}</table>{below}</body></html>\n"
    )


def _write_cell(label: str, text: str) -> str:
    shown = html.escape(text)
    return f'<a href="{shown}">{shown}</a>' if label == "Link" else shown


def _line(value: object) -> str:
    """Return one line of printable text: no line end, no control, no direction mark gets into a header or a row."""
    text = "" if value is None else str(value)
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in text[:2000]).split())
    return text if len(text) <= _MAX_LINE else text[: _MAX_LINE - 1] + "…"


def _paragraph(value: object) -> list[str]:
    return [] if not value else [_line(line) for line in str(value).splitlines()[:100]]
