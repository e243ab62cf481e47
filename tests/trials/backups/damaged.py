"""B-3: every file of two chains is deleted, changed in a bit, cut short, emptied, exchanged: verify names each."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

from backup.model import instant_name
from backup.restoring.verify import Depth, verify
from backup.station.station import open_station
from backup.targets.disk_mark import MARK
from tests.support.backups import SET, change, demand_same, fill, new_site
from tests.trials.finding import Finding

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from pathlib import Path

    from backup.restoring.verify import Report
    from tests.support.backups import Pairs, Site

SHORT_HARMS: Final = 25
_RESTORED_EACH: Final = 15
"""After so many harms a point that is called restorable, and one that is called lost, are restored."""


def run(pairs: Pairs, chance: random.Random, *, is_long: bool) -> Finding:
    faults: list[str] = []
    named = restored = unlisted = lost = refused = 0
    with new_site(pairs) as site:
        looks = _two_chains(site, chance)
        # The disk's mark is no part of a backup: its host refuses to save where it is harmed (test_emptied_targets.py).
        files = sorted(path for path in site.store.rglob("*") if path.is_file() and path.name != MARK)
        cases = [(file, how) for file in files for how in _HARMS]
        chance.shuffle(cases)
        for number, (file, how) in enumerate(cases if is_long else cases[:SHORT_HARMS]):
            whole = file.read_bytes()
            _HARMS[how](file, chance, files)
            where = f"{file.relative_to(site.store)} {how}"
            report = _verify(site)
            if _is_named(report, file):
                named += 1
            else:
                faults.append(f"{where}: not named: {report.damages}")
            if number % _RESTORED_EACH == 0:
                found, is_refused = _restore(site, report, looks, chance)
                faults += [f"{where}: {fault}" for fault in found]
                restored += bool(report.restorable)
                unlisted += bool(report.unlisted)
                lost += bool(report.lost)
                refused += is_refused
            file.write_bytes(whole)
        if (report := _verify(site)).damages:
            faults.append(f"with everything put back: {report.damages}")
        count = len(cases) if is_long else min(SHORT_HARMS, len(cases))
    return Finding(
        trial="backups: damaged",
        injected=f"each of {len(files)} files of two chains, one in parts: {', '.join(_HARMS)}; {count} in all",
        required="verify names the file; what it calls restorable, its lists damaged or not, comes back byte-identical;"
        " what it calls lost is refused",
        found=f"named {named} of {count}; {restored} points it called restorable came back byte-identical,"
        f" {unlisted} of these without their lists; of points it called lost {lost} were tried, {refused} refused",
        faults=faults,
    )


def _two_chains(site: Site, chance: random.Random) -> dict[str, Path]:
    """Save a chain in one and a chain in two parts, three points each; return how the data were at each point."""
    fill(site.data)
    (site.data / "second").mkdir()
    (site.data / "second" / "noise").write_bytes(chance.randbytes(2 << 20))
    looks: dict[str, Path] = {}
    for number in range(6):
        if number == 3:
            site.cut_into(2)
        change(site.data / "deep" / "er" / "words", f"{number}\n")
        (site.data / "second" / f"new{number}").write_text(f"new {number}\n")
        site.demand_saved(*(["--full"] if number == 3 else []))
        look = site.folder / f"look{number}"
        shutil.copytree(site.data, look)
        looks[site.manifest()["at"]] = look
    return looks


def _verify(site: Site) -> Report:
    settings = site.settings("station")
    with open_station(settings, settings.find_set(SET)) as station:
        return verify(station, Depth.READ)


def _is_named(report: Report, file: Path) -> bool:
    """Whether a report names a file, or the run whose manifest it was: a station cannot know of the newest one."""
    unsigned = {f"{instant_name(at)}.json.asc" for at in report.unsigned}
    return file.name in unsigned or any(damage.name.endswith(file.name) for damage in report.damages)


def _restore(site: Site, report: Report, looks: dict[str, Path], chance: random.Random) -> tuple[list[str], bool]:
    """Restore one point that is said to be whole, and one that is said to be lost; return faults, and if it refused."""
    faults, is_refused = [], False
    back = site.folder / "back"
    if report.restorable:
        at = instant_name(chance.choice(report.unlisted or report.restorable))
        done = site.bkp("station", "restore", SET, "--at", at, "--to", str(back))
        if done.returncode:
            faults.append(f"{at} is called restorable: {done.stderr[-500:]}")
        else:
            try:
                demand_same(back / str(site.data)[1:], looks[at])
            except AssertionError as error:
                faults.append(f"{at} differs: {str(error)[:300]}")
        shutil.rmtree(back, ignore_errors=True)
    if report.lost:
        at = instant_name(chance.choice(report.lost))
        done = site.bkp("station", "restore", SET, "--at", at, "--to", str(back))
        is_refused = done.returncode != 0
        if not is_refused:
            faults.append(f"{at} is called lost, but a restore of it ended well: {report.damages}")
        shutil.rmtree(back, ignore_errors=True)
    return faults, is_refused


# ── Harms ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _delete(file: Path, _chance: random.Random, _files: list[Path]) -> None:
    file.unlink()


def _flip(file: Path, chance: random.Random, _files: list[Path]) -> None:
    content = bytearray(file.read_bytes())
    start, end = 0, len(content)
    if file.name.endswith(".asc"):  # the lines around what is signed are no part of it
        start, end = content.index(b"{"), content.index(b"-----BEGIN PGP SIGNATURE")
    content[chance.randrange(start, end - 2)] ^= 1 << chance.randrange(7)
    file.write_bytes(content)


def _cut(file: Path, chance: random.Random, _files: list[Path]) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: chance.randrange(1, len(content))])


def _empty(file: Path, _chance: random.Random, _files: list[Path]) -> None:
    file.write_bytes(b"")


def _exchange(file: Path, chance: random.Random, files: list[Path]) -> None:
    """Put another file's content there, one of the same kind where there is one."""
    others = [each for each in files if each != file and each.suffix == file.suffix]
    file.write_bytes(chance.choice(others).read_bytes())


_HARMS: Final[dict[str, Callable[[Path, random.Random, list[Path]], None]]] = {
    "deleted": _delete,
    "one bit changed": _flip,
    "cut short": _cut,
    "emptied": _empty,
    "exchanged": _exchange,
}
