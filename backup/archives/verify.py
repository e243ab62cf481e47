"""Whether archived WAL and binary logs are what was archived, as deep as was asked, and what damage of them costs."""

from __future__ import annotations

import hashlib
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from backup.archives.listing import lines_of
from backup.errors import BackupDamaged, BackupError, Cancelled, KeyWrong, ObjectMissing, SignatureBad, SignerUnknown
from backup.restoring.inspection import Found
from backup.restoring.manifest_damage import Damage
from backup.saving.sealed_files import open_sealed, seal_of
from backup.station.station import UNREACHED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from backup.archives.lines import Entry, Line, LogFile
    from backup.archives.listing import Seen
    from backup.model import RestorePoint
    from backup.restoring.inspection import Inspection
    from backup.station.station import Station

_MISSING: Final = "it is missing"
_PIECE: Final = "piece "


class ArchivedLogs:
    """The logs that lead from restore points of a copy to any moment, as they were listed when this was made."""

    def __init__(self, station: Station, points: Sequence[RestorePoint], seen: Seen = MappingProxyType({})) -> None:
        """`seen`: of each line the first and last log that an earlier look saw. Raises what the target raises."""
        self._station, self._points, self._seen = station, points, seen
        self._lines = lines_of(station, points, seen)

    def names(self) -> list[str]:
        """Return the files' whole names."""
        return [file.name for line in self._lines for each in line.entries for files in each.pieces for file in files]

    def look(self, inspection: Inspection) -> Found:
        """Look at each of them. What is archived or pruned meanwhile is no damage. Raises what the target raises.

        What is wrong is judged by a second list, and by the restore points that are there then.
        """
        if not self._lines:
            return Found(seen={} if self._points else self._seen)
        look = _Look(self._station, inspection, is_opening=inspection.is_opening and self._can_open())
        wrong = {
            (line.root, each.name): trouble
            for line in self._lines
            for each in line.entries
            if (trouble := look.trouble(f"{line.root}/{each.name}", each)) is not None
        }
        gaps = {line.root: list(line.missing()) for line in self._lines}
        of_lines: list[Damage] = []
        of_all: list[Damage] = []
        if wrong or any(gaps.values()):
            again = ArchivedLogs(self._station, self._station.catalogue().points, self._seen)
            of_lines = [*again._gaps(gaps, wrong), *again._damages(wrong)]
            of_all = list(again._damages_of_histories(wrong))
        is_open = any(each.moments is not None and each.moments[1] is None for each in of_lines)
        return Found(
            damages=(*of_all, *of_lines),
            hindrances=look.hindrances,
            fresh_point=self._remedy() if is_open else None,
            uncompared=look.uncompared,
            seen={line.root: names for line in self._lines if (names := line.remembered())},
        )

    def _can_open(self) -> bool:
        """Tell whether the newest point can be decrypted here; why not is told where that is tried."""
        try:
            self._station.demand_decryption(self._points[-1].manifest)
        except Cancelled:
            raise
        except BackupError:
            return False
        return True

    def _gaps(self, seen: Mapping[str, Sequence[range]], wrong: Mapping[tuple[str, str], _Trouble]) -> Iterator[Damage]:
        """Yield what is missing now and was missing before, or went while it was to be read."""
        for line in self._lines:
            for run in line.missing():
                went = any((line.root, line.name_of(number)) in wrong for number in run[:_MOST_ASKED])
                was = any(each.start < run.stop and run.start < each.stop for each in seen.get(line.root, ()))
                moments = line.cost(run[0], run[-1])
                if moments is not None and (went or was):
                    more = f" to {line.name_of(run[-1])}" if len(run) > 1 else ""
                    what = f"{len(run)} are missing" if more else _MISSING
                    yield Damage(name=f"{line.root}/{line.name_of(run[0])}{more}", what=what, moments=moments)

    def _damages(self, wrong: Mapping[tuple[str, str], _Trouble]) -> Iterator[Damage]:
        """Yield what is wrong with logs that are still there, and needed."""
        for line, entry, name, what in self._still(wrong):
            moments = line.cost(entry.number, entry.number)
            if moments is not None and entry.number is not None:
                yield Damage(name=name, what=what, moments=moments)

    def _damages_of_histories(self, wrong: Mapping[tuple[str, str], _Trouble]) -> Iterator[Damage]:
        """Yield what is wrong with histories of timelines, which every recovery reads."""
        place = self._station.place
        for line, entry, name, what in self._still(wrong):
            if entry.number is None:
                again = f"`bkp wal put {place.set} …/pg_wal/{entry.name}` on {place.host} archives it again"
                yield Damage(name=name, what=f"{what}; {again}", moments=line.cost(None, None))

    def _still(self, wrong: Mapping[tuple[str, str], _Trouble]) -> Iterator[tuple[Line, Entry, str, str]]:
        there = set(self.names())
        for line in self._lines:
            for entry in line.entries:
                name, what = wrong.get((line.root, entry.name), ("", ""))
                is_back = name in there if what == _MISSING else what.startswith(_PIECE) and all(entry.pieces)
                if what and not is_back:
                    yield line, entry, name, what

    def _remedy(self) -> str:
        place = self._station.place
        return (
            f"the next run on {place.host} makes a restore point from which any moment comes back again; `bkp run"
            f" {place.set}` there makes it now"
        )


_Trouble = tuple[str, str]
"""The name of a file at the target, and what is wrong with it in words."""
_MOST_ASKED: Final = 1000


class _Look:
    """One look at many logs. uncompared: files that were to be read, and have no seal to compare them with."""

    def __init__(self, station: Station, inspection: Inspection, *, is_opening: bool) -> None:
        self._station, self._inspection, self._is_opening = station, inspection, is_opening
        self._told: dict[type[BackupError], BackupError] = {}
        self.uncompared = 0

    @property
    def hindrances(self) -> list[BackupError]:
        """What stood in the way of opening them, the first of each kind."""
        return list(self._told.values())

    def trouble(self, name: str, entry: Entry) -> _Trouble | None:
        """Look at a log; return what is wrong with it."""
        found, is_opened = hashlib.sha256(), self._is_opening
        for number, files in enumerate(entry.pieces, start=1):
            first: _Trouble | None = None
            for file in files:
                what, content = self._look(file, entry)
                if what is None:
                    break
                first = first or (file.name, what)
            else:
                return first or (name, f"{_PIECE}{number} of {len(entry.pieces)} is missing")
            is_opened = is_opened and content is not None
            found.update(content or b"")
        if is_opened and found.hexdigest()[:16] != entry.digest:
            return entry.pieces[0][0].name, "it holds another log than its name says"
        return None

    def _look(self, file: LogFile, entry: Entry) -> tuple[str | None, bytes | None]:
        """Look at a file; return what is wrong with it, and its content where that was to be opened and could be."""
        seal, inspection = file.seal, self._inspection
        if not file.size_bytes:
            inspection.count()
            return "it is empty", None
        if not self._is_opening:
            self.uncompared += seal is None and inspection.reads(file.name)
            size, digest = (None, None) if seal is None else (seal.size_bytes, seal.digest)
            return inspection.trouble(file.name, file.size_bytes, size, digest), None
        inspection.count()
        inspection.marking.renew()
        try:
            sealed = b"".join(self._station.target.read(file.name))
        except ObjectMissing:
            return _MISSING, None
        inspection.took(len(sealed))
        if seal is not None and seal_of(sealed) != seal:
            return "its content is not what was sent (SHA-256 differs)", None
        return self._opened(file, sealed, entry)

    def _opened(self, file: LogFile, sealed: bytes, entry: Entry) -> tuple[str | None, bytes | None]:
        ring, host = self._station.ring, self._station.place.host
        try:
            content = open_sealed(ring, host, file.name, sealed, entry.limit_bytes)
        except (KeyWrong, SignerUnknown) as error:  # of this file: another key's may lie beside it
            self._told.setdefault(type(error), error)
            return None, None
        except (BackupDamaged, SignatureBad) as error:
            return str(error).removeprefix(file.name).lstrip(": "), None
        except (Cancelled, *UNREACHED):
            raise
        except BackupError as error:
            self._told.setdefault(type(error), error)
            self._is_opening = False
            return None, None
        return (None, content) if entry.fits(content) else ("it holds another segment than its name says", content)
