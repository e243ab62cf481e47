"""How `bkp` shows instants, sizes and progress: for people on the terminal, for programs as JSON."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from contextlib import contextmanager
from datetime import UTC
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from rich.console import Console

    from backup.browse.signatures import Content
    from backup.engine.progress import Progress as Told
    from backup.model import RestorePoint

WIDE = 110
"""Letters that a row of `bkp status` takes; a narrower terminal sees what matters at night."""
_STEPS = (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))


def console() -> Console:
    """Return where tables go: standard output, as wide as it is; 120 letters where nobody looks."""
    from rich.console import Console  # noqa: PLC0415 - a sixth of what a run imports, and nobody looks at most runs

    return Console(highlight=False, width=None if sys.stdout.isatty() else 120, soft_wrap=not sys.stdout.isatty())


def say(words: str, *, within: str = "  ") -> None:
    """Write a line for people; at a terminal it breaks between words, and what follows begins with `within`.

    Not for what somebody is to copy: a break is a part of it then.
    """
    if sys.stdout.isatty():
        columns = shutil.get_terminal_size().columns
        words = textwrap.fill(words, columns, subsequent_indent=within, break_long_words=False, break_on_hyphens=False)
    click.echo(words)


def write_json(document: Any) -> None:
    """Write the one document that --json promises."""
    click.echo(json.dumps(document, ensure_ascii=True))


def instant(at: datetime | None) -> str | None:
    """Return an instant for programs: ISO 8601, UTC."""
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def local(at: datetime | None) -> str:
    """Return an instant for people at this machine's terminal, in its zone."""
    return "never" if at is None else at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def size(number: float | None) -> str:
    """Return bytes for people."""
    if number is None:
        return "-"
    for unit, step in _STEPS:
        if number >= step:
            return f"{number / step:.1f} {unit}"
    return f"{number:.0f} B"


def about(content: Content | None) -> str:
    """Return for people how large a file is that was saved: known to a block, so mostly "about"."""
    if content is None:
        return "-"
    if content.least_bytes == content.most_bytes:
        return size(content.most_bytes)
    if content.least_bytes <= 1:
        return f"up to {size(content.most_bytes)}"
    return f"~{size((content.least_bytes + content.most_bytes) / 2)}"


def seconds_text(seconds: float | None) -> str:
    """Return a duration for people: its two largest parts."""
    if seconds is None:
        return "-"
    if seconds < 10:
        return f"{seconds:.1f} s"
    parts = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
    left = round(seconds)
    first = next(number for number, (_, step) in enumerate(parts) if left >= step)
    words = []
    for unit, step in parts[first : first + 2]:
        count, left = divmod(left, step)
        if count:
            words.append(f"{count} {unit}")
    return " ".join(words)


@contextmanager
def working(doing: str, *, is_shown: bool) -> Iterator[None]:
    """Show on standard error that something goes on whose end nobody can tell; nothing where nobody looks."""
    with progress(doing, is_shown=is_shown):
        yield


def age(at: datetime | None, now: datetime) -> str:
    """Return for people how long ago something was."""
    if at is None:
        return "never"
    seconds = max(0.0, (now - at).total_seconds())
    for unit, step in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * step:
            return f"{seconds / step:.0f} {unit} ago"
    return f"{seconds:.0f} seconds ago"


def point_document(point: RestorePoint) -> dict[str, Any]:
    """Return a restore point for programs."""
    manifest = point.manifest
    return {
        "at": instant(point.at),
        "kind": manifest.kind.value,
        "chain": manifest.chain,
        "position": manifest.position,
        "source": manifest.source,
        "entries": manifest.counts.entries,
        "source_bytes": manifest.counts.bytes,
        "stored_bytes": manifest.stored_bytes,
        "unreadable": manifest.counts.unreadable,
        "broken": point.broken,
    }


@contextmanager
def progress(doing: str, *, is_shown: bool, of: str = "") -> Iterator[Callable[[Told], None]]:
    """Show on standard error that something goes on; nothing where nobody looks.

    of: what it is done to; with it each phase is named as it comes.
    """
    if not is_shown or not sys.stderr.isatty():
        yield lambda told: None  # noqa: ARG005 - nobody looks
        return
    from rich.console import Console  # noqa: PLC0415 - as above
    from rich.progress import (  # noqa: PLC0415 - as above
        BarColumn,
        Progress,
        SpinnerColumn,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.fields[said]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True, soft_wrap=True), transient=True) as bar:
        task = bar.add_task(f"{of}: {doing}" if of else doing, total=None, said="")

        def tell(told: Told) -> None:
            bar.tasks[0].total = None if told.share is None else 100.0  # update() takes None as "leave it"
            bar.update(
                task,
                completed=100 * (told.share or 0.0),
                said=_pace(told),
                description=f"{of}: {told.phase}" if of else doing,
            )

        yield tell


def _pace(told: Told) -> str:
    """Return how fast it goes and how long it will take, as far as that is known."""
    said = [f"{size(told.bytes_per_second)}/s"] if told.bytes_per_second else []
    if told.eta_seconds is not None:
        minutes = round(told.eta_seconds / 60)
        said.append(f"{told.eta_seconds} s left" if told.eta_seconds < 100 else f"{minutes} min left")
    return ", ".join(said)
