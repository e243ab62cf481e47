"""Which files a restore point holds, from its signatures: nothing else is fetched or decrypted."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from backup.engine.command import call, common_arguments
from backup.engine.process import demand_success, run_call
from backup.errors import NotInBackup
from backup.marks import reading
from backup.station import scratch_workplace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path, PurePosixPath

    from backup.model import RestorePoint
    from backup.station import Station

# duplicity's log cannot take names that are not UTF-8 and leaves them out; its standard output has them as they are.
_MOST_OUTPUT_BYTES: Final = 64 << 20
_SAID: Final = re.compile(r"\w{3} (\w{3}) +(\d{1,2}) (\d\d:\d\d:\d\d) (\d{4}) (.*)")
_ODD: Final = re.compile("[\udc80-\udcff]")
# duplicity's InfoCode.file_list with the time of change, the escaped name and what it is (its util.escape).
_LINE: Final = re.compile(rb"INFO 10 (\S+) '(.*)' (\S+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Something in a backup. `path` is relative to the set's root, its bytes that are no UTF-8 as surrogates.

    kind: "file", "folder", "link" or "other".
    """

    path: str
    kind: str
    changed_at: datetime


_KINDS: Final = {b"reg": "file", b"dir": "folder", b"sym": "link"}


def list_files(station: Station, point: RestorePoint, below: PurePosixPath | None = None) -> list[Entry]:
    """Return everything in a restore point, or at and below a path, in duplicity's order: a folder before its content.

    Raises NotInBackup, and what keys, target and duplicity raise.
    """
    manifest = point.manifest
    station.demand_decryption(manifest)
    with reading(station, [manifest], "listed"), scratch_workplace(station.settings) as workplace:
        listing = workplace.temporary / "listing"
        timeout = station.settings.find_target(station.chosen.target).timeout.total_seconds()
        options = [*common_arguments(workplace, signer=manifest.signer, timeout_seconds=timeout)]
        options += ["--time", str(int(manifest.at.timestamp())), "--log-file", str(listing)]
        action = ["list-current-files", *options, station.target.url(station.place.chain(manifest.chain))]
        outcome = run_call(
            call(action, station.ring.environment(), station.target.environment()),
            doing="listing the files",
            time_limit_seconds=station.chosen.time_limit.total_seconds(),
            output_limit_bytes=_MOST_OUTPUT_BYTES,
        )
        demand_success(outcome, "listing the files")
        entries = [*read_listing(listing), *read_odd_names(outcome.output)]
    found = [entry for entry in entries if below is None or _is_below(entry.path, str(below))]
    if below is not None and not found:
        raise NotInBackup(f"{below} is not in the restore point of {manifest.at.isoformat()}")
    return found


def children(entries: list[Entry], folder: PurePosixPath | None) -> list[Entry]:
    """Return what lies directly in a folder: of everything below it, the next level only; a file is itself."""
    prefix = "" if folder is None else f"{folder}/"
    direct = [entry for entry in entries if entry.path.startswith(prefix) and "/" not in entry.path[len(prefix) :]]
    return direct or [entry for entry in entries if entry.path == str(folder) and entry.kind != "folder"]


def read_listing(file: Path) -> Iterator[Entry]:
    """Yield the entries of duplicity's machine log; the root itself is left out."""
    with file.open("rb") as lines:
        for line in lines:
            match = _LINE.fullmatch(line.rstrip(b"\n"))
            if match is None:
                continue
            name = match[2].decode("ascii", "replace").encode().decode("unicode_escape")
            if name not in ("", "."):
                yield Entry(path=name, kind=_KINDS.get(match[3], "other"), changed_at=_instant(match[1].decode()))


def read_odd_names(output: str) -> Iterator[Entry]:
    """Yield the entries of duplicity's standard output whose names are not UTF-8, of which its log says nothing.

    What they are is not told there: a folder is known by what lies in it only, so their kind is "other".
    """
    said: list[tuple[str, str]] = []
    for line in (output.rpartition("\nDuplicity backup complete.")[0] or output).split("\n"):
        match = _SAID.fullmatch(line)
        if match is not None:
            said.append((f"{match[2]} {match[1]} {match[4]} {match[3]}", match[5]))
        elif said and _ODD.search(said[-1][1]):  # a name with a line break
            said[-1] = (said[-1][0], f"{said[-1][1]}\n{line}")
    for instant, name in said:
        if _ODD.search(name):
            at = datetime.strptime(instant, "%d %b %Y %H:%M:%S").replace(tzinfo=UTC)  # it runs with TZ=UTC
            yield Entry(path=name, kind="other", changed_at=at)


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _is_below(path: str, top: str) -> bool:
    return path == top or path.startswith(f"{top}/")


def shown(path: str) -> str:
    """Return a path as it can be shown anywhere: what is no UTF-8 and what controls terminals is escaped."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
