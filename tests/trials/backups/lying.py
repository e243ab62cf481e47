"""B-2: a Swift that answers errors, loses or cuts what it says it has, or says nothing: no run of it is called ok."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, get_args

from backup.errors import TargetAway, TimedOut
from tests.support.backups import SET, change, fill, new_site
from tests.support.faulty_swift import Fault, FaultySwift
from tests.support.swift import running_swift
from tests.trials.finding import Finding

if TYPE_CHECKING:
    import random
    from subprocess import CompletedProcess

    from tests.support.backups import Pairs, Site

SHORT_RUNS: Final = 5
LONG_RUNS: Final = 60
_PARTS: Final = ("difftar", "sigtar", ".manifest", "/points/", "")
_SEVERAL: Final = ("difftar", "")
"""Those of which a run puts more than one."""
_TIME_LIMIT: Final = "20s"
"""What ends a run whose Swift says nothing; it has to be enough for a run that is answered."""


def run(pairs: Pairs, chance: random.Random, *, is_long: bool) -> Finding:
    runs = LONG_RUNS if is_long else SHORT_RUNS
    kinds = [kind for kind in get_args(Fault) if kind not in ("none", "slow put")]
    ended: Counter[str] = Counter()
    faults: list[str] = []
    with running_swift() as swift, FaultySwift(swift).running() as faulty:
        target = (
            f'kind = "swift"\nauth_url = "{faulty.auth_url}"\nuser = "{swift.user}"\nkey_file = "swift.key"\n'
            f'container = "{swift.new_container()}"\ntimeout = "60s"'
        )
        with new_site(pairs, target) as site:
            for role in ("host", "station"):
                (site.folder / role / "swift.key").write_text(swift.key)
            fill(site.data)
            site.demand_saved()
            for number in range(runs):
                change(site.data / "deep" / "noise", chance.randbytes(1 << 20).hex())
                fault = kinds[number % len(kinds)]
                limit = _TIME_LIMIT if fault == "silent put" else "10m"
                _set_time_limit(site, limit)
                faulty.struck, faulty.path_part = 0, chance.choice(_PARTS)
                faulty.spared = chance.randrange(3) if faulty.path_part in _SEVERAL else 0
                faulty.most = 1 if chance.random() < 0.5 else None
                faulty.fault = fault
                where = f"run {number}: {fault!r} at {faulty.path_part!r} after {faulty.spared}, most {faulty.most}"
                done = site.bkp("host", "run", SET)
                faulty.fault = "none"
                ended[_word(done, struck=faulty.struck)] += 1
                faults += [f"{where}: {fault}" for fault in _judge(site, done, is_silent=limit == _TIME_LIMIT)]
                _set_time_limit(site, "10m")
                site.demand_saved()
            done = site.bkp("station", "verify", SET, "--depth", "decrypted", "--json")
            if done.returncode != 0:
                faults.append(f"in the end: {done.stdout[-2000:]}{done.stderr[-500:]}")
    return Finding(
        trial="backups: a lying Swift",
        injected=f"{runs} runs to a Swift whose PUTs, one or all from one on, fail ({', '.join(kinds)})",
        required="the run fails loudly, or all it sent is there; no false ok; the next run is good",
        found=f"{', '.join(f'{name} {count}' for name, count in sorted(ended.items()))}; false ok 0; next run good"
        f" {runs} of {runs}; in the end everything decrypted and restored",
        faults=faults,
    )


def _set_time_limit(site: Site, limit: str) -> None:
    file = site.file("host")
    lines = [line for line in file.read_text().splitlines() if not line.startswith("time_limit")]
    lines.insert(lines.index('volume_size = "1MiB"'), f'time_limit = "{limit}"')
    file.write_text("\n".join(lines) + "\n")


def _word(done: CompletedProcess[str], *, struck: int) -> str:
    if not struck:
        return "not struck"
    return "ok after it was sent again" if done.returncode == 0 else f"exit code {done.returncode}"


def _judge(site: Site, done: CompletedProcess[str], *, is_silent: bool) -> list[str]:
    """What must not be: an ok of something that is not whole, a failure that says nothing or is a defect of ours."""
    if done.returncode == 0:
        looked = site.bkp("station", "verify", SET, "--depth", "read", "--json")
        return [] if looked.returncode == 0 else [f"called ok, but {looked.stdout[-2000:]}"]
    faults = []
    if done.returncode in (1, 2) or "bkp: " not in done.stderr:
        faults.append(f"exit code {done.returncode}: {done.stderr[-500:]}")
    if is_silent and done.returncode not in (TimedOut.exit_code, TargetAway.exit_code):
        faults.append(f"silent, exit code {done.returncode}: {done.stderr[-500:]}")
    if site.state()["last_run"]["status"] != "failed":
        faults.append(f"its state says {site.state()['last_run']}")
    return faults
