"""B-1: `bkp run` is killed, with everything it started, at moments nobody chose; no half of a run ever counts."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from statistics import median
from typing import TYPE_CHECKING, Final

from tests.support.backups import SET, change, demand_same, new_site
from tests.support.killed_run import KilledRun
from tests.trials.finding import Finding

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from tests.support.backups import Pairs, Site

SHORT_KILLS: Final = 6
LONG_KILLS: Final = 100
_LOOKED_AT_EACH: Final = 5
"""After so many kills everything is read back and restored."""
_FILES: Final = 40


def run(pairs: Pairs, chance: random.Random, *, is_long: bool) -> Finding:
    kills = LONG_KILLS if is_long else SHORT_KILLS
    struck: Counter[str] = Counter()
    faults: list[str] = []
    looks = whole = 0
    with new_site(pairs) as site:
        _fill(site.data, chance)
        times = [_seconds(site, "--full"), _seconds(site, "--full")]
        for number in range(kills):
            is_cut = number >= kills // 2
            if number == kills // 2:
                site.cut_into(2)
            _change_some(site.data, chance)
            before = _manifests(site)
            attempt = KilledRun(site, *(["--full"] if chance.random() < 0.3 else []))
            moment = time.monotonic() + chance.uniform(0, 1.2 * median(times))
            _kill_at(attempt, moment)
            is_new = bool(_manifests(site) - before)
            struck[f"{_phase(attempt)}{' (whole)' if is_new else ''}"] += 1
            whole += is_new
            if (listed := _listed(site)) != len(before) + is_new:
                faults.append(f"kill {number}: {len(before)} points before, whole {is_new}, {listed} listed after it")
            _change_some(site.data, chance)
            times.append(_seconds(site))
            if number % _LOOKED_AT_EACH == _LOOKED_AT_EACH - 1:
                faults += [f"after kill {number}: {fault}" for fault in _look(site, is_cut=is_cut)]
                looks += 1
    return Finding(
        trial="backups: killed",
        injected=f"kill -9 of `bkp run` and all it started, {kills} times at any moment, half of them in parts side by"
        f" side: {', '.join(f'{name} {count}' for name, count in struck.most_common())}",
        required="what was killed counts only when it was whole; the next run is good; restored byte-identical",
        found=f"whole when they were killed {whole}, others that counted 0; next run good {kills} of {kills}; read back"
        f" whole and restored byte-identical {looks} of {looks}",
        faults=faults,
    )


def _kill_at(attempt: KilledRun, moment: float) -> None:
    attempt.kill_when(lambda: time.monotonic() >= moment)


def _fill(data: Path, chance: random.Random) -> None:
    for number in range(_FILES):
        folder = data / f"folder{number % 7}"
        folder.mkdir(exist_ok=True)
        (folder / f"file{number}").write_bytes(chance.randbytes(chance.randrange(1, 400_000)))


def _change_some(data: Path, chance: random.Random) -> None:
    for path in chance.sample(sorted(path for path in data.rglob("*") if path.is_file()), 4):
        change(path, chance.randbytes(chance.randrange(1, 200_000)).hex())
    (data / f"new{chance.randrange(1 << 32)}").write_bytes(chance.randbytes(30_000))


def _seconds(site: Site, *options: str) -> float:
    """Run it to its end, which has to be a good one; return how long that took."""
    began = time.monotonic()
    site.demand_saved(*options)
    return time.monotonic() - began


def _manifests(site: Site) -> set[str]:
    """Return the names of the manifests at the target; one that is being written is listed to nobody."""
    return {path.name for path in site.points.iterdir() if path.suffix != ".half"}


def _listed(site: Site) -> int:
    """Return how many restore points the station lists as restorable."""
    done = site.bkp("station", "list", SET, "--json")
    assert done.returncode == 0, done.stderr
    return sum(point["broken"] is None for point in json.loads(done.stdout)["points"])


def _phase(attempt: KilledRun) -> str:
    told = [line.split('"')[3] for line in attempt.told.read_text().splitlines() if '"phase"' in line]
    return told[-1] if told else "starting"


def _look(site: Site, *, is_cut: bool) -> list[str]:
    """Read everything back, restore the newest point: with plain duplicity where that is one command."""
    done = site.bkp("station", "verify", SET, "--depth", "read", "--json")
    faults = [] if done.returncode == 0 else [f"{done.stdout[-2000:]}{done.stderr[-500:]}"]
    back = site.folder / "back"
    shutil.rmtree(back, ignore_errors=True)
    if is_cut:
        done = site.bkp("station", "restore", SET, "--to", str(back))
        assert done.returncode == 0, done.stderr
        restored = back / str(site.data)[1:]
    else:
        restored = site.restore_plainly(back)
    try:
        demand_same(restored, site.data)
    except AssertionError as error:
        faults.append(f"what was restored differs: {str(error)[:500]}")
    return faults
