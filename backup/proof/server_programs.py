"""The programs of database servers on this machine, and those a proof is made with."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Final

from backup.errors import DrillFailed, TimedOut
from backup.proof.versions import POSTGRESQL, Programs, ProvenIn, nearest, same_series, version_in
from backup.runtime.child import Program, run
from backup.sources.postgresql.psql import embedded_folders

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backup.proof.versions import ServerKind

SYSTEM_FOLDERS: Final = "/usr/sbin:/usr/local/sbin"
"""Where servers lie, and a user's PATH does not lead."""
_DEBIAN: Final = Path("/usr/lib/postgresql")
_ASKING_SECONDS: Final = 30.0
_WORDS: Final = 300


def programs_here(kind: ServerKind, named: Path | None) -> list[Programs]:
    """Return the servers there are, each with the version it says.

    named: the folder of one's programs, or of several versions' ("17/bin" below it), as [drills] names it; without, of
    PostgreSQL Debian's and the embedded ones, of the others where PATH leads. Raises DrillFailed when one that is named
    does not say its version; others are passed over.
    """
    if named is not None:
        return [_asked(kind, folder) for folder in (named, *_by_version(named)) if _is_whole(kind, folder)]
    found: list[Programs] = []
    for folder in _usual(kind):
        with suppress(DrillFailed):
            found.append(_asked(kind, folder))
    return found


def server_for_dump(kind: ServerKind, named: Path | None, saved: str | None) -> ProvenIn:
    """Return the server to load a dump into that is of version `saved`: of that series, else of the next newer.

    Raises DrillFailed when there is none at all.
    """
    programs = nearest(programs_here(kind, named), saved, kind)
    if programs is None:
        embedded = " or pip install 'watchkeep[drills]'," if kind is POSTGRESQL else ""
        raise DrillFailed(
            f"there is no {kind.title} server {_where(named)} to start: install one,{embedded} or name the folder of"
            f" its programs as drills.{kind.setting}"
        )
    return ProvenIn(kind=kind, programs=programs, saved=saved, how="dumped", searched=_where(named))


def server_for_copy(kind: ServerKind, named: Path | None, saved: str | None) -> ProvenIn:
    """Return the server to start on copied files of version `saved`, which only its own series can read.

    Raises DrillFailed saying which there are.
    """
    found = programs_here(kind, named)
    programs = same_series(found, saved, kind)
    if programs is None:
        series = kind.series_text(saved) or "(the manifest does not say which)"
        others = ", ".join(dict.fromkeys(kind.series_text(each.version) for each in found)) or "none"
        raise DrillFailed(
            f"the files are of {kind.title} {series}, and only a server of that starts on them; {_where(named)} are"
            f" programs of: {others}. Install {kind.title} {series} at this station, or name its programs' folder as"
            f" drills.{kind.setting}"
        )
    return ProvenIn(kind=kind, programs=programs, saved=saved, how="copied", searched=_where(named))


def folder_of(server: ProvenIn) -> Path:
    """Return where PostgreSQL's programs lie, which are never looked for along PATH."""
    assert server.programs.folder is not None  # noqa: S101 - for the type checker
    return server.programs.folder


def _where(named: Path | None) -> str:
    return "here" if named is None else f"in {named}"


def _usual(kind: ServerKind) -> Iterator[Path | None]:
    """Yield where a kind's programs lie; Debian's PostgreSQL first, as it has the extensions that are installed."""
    if kind is POSTGRESQL:
        yield from (folder for folder in (*_by_version(_DEBIAN), *embedded_folders()) if _is_whole(kind, folder))
    elif _on_path(kind) is not None:
        yield None


def _by_version(folder: Path) -> list[Path]:
    """Return the folders of programs in a folder of versions, the newest first."""
    return sorted(folder.glob("*/bin"), key=lambda each: _numbers(each.parent.name), reverse=True)


def _numbers(name: str) -> tuple[int, ...]:
    return tuple(int(number) for number in (version_in(name) or "0").split("."))


def _is_whole(kind: ServerKind, folder: Path) -> bool:
    return all((folder / name).is_file() for name in (kind.server, *kind.needed))


def _on_path(kind: ServerKind) -> str | None:
    return which(kind.server, path=f"{os.environ.get('PATH', '/usr/bin:/bin')}:{SYSTEM_FOLDERS}")


def _asked(kind: ServerKind, folder: Path | None) -> Programs:
    """Return the programs in a folder with the version their server says. Raises DrillFailed."""
    server = _on_path(kind) if folder is None else folder / kind.server
    asking = Program(
        arguments=[str(server), *kind.asking],
        environment={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8"},
        doing=f"asking {server} for its version",
    )
    try:
        ended = run(asking, time_limit_seconds=_ASKING_SECONDS)
    except OSError as error:
        raise DrillFailed(f"{server} cannot be started: {error.strerror}") from error
    except TimedOut as error:
        raise DrillFailed(f"{server} does not say its version: {error}") from error
    if ended.exit_code != 0 or version_in(ended.output) is None:
        words = " ".join((ended.words or ended.output).split())[:_WORDS]
        raise DrillFailed(f"{server} does not say its version: {words or 'without a word'}")
    return Programs(folder=folder, version=ended.output.strip())
