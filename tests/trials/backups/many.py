"""B-5: a hundred thousand files, with names that are no text, some changing while they are read, come back."""

from __future__ import annotations

import os
import stat
import threading
import time
from itertools import count
from typing import TYPE_CHECKING, Final

from tests.support.backups import SET, new_site
from tests.trials.finding import Finding

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from tests.support.backups import Pairs

SHORT_FILES: Final = 2_000
LONG_FILES: Final = 100_000
_IN_A_FOLDER: Final = 250


def run(pairs: Pairs, chance: random.Random, *, is_long: bool) -> Finding:
    files = LONG_FILES if is_long else SHORT_FILES
    end = threading.Event()
    with new_site(pairs) as site:
        file = site.file("host")
        file.write_text(file.read_text().replace('volume_size = "1MiB"', 'volume_size = "25MiB"'))
        _fill(site.data, files, chance)
        (site.data / "busy").mkdir()
        writer = threading.Thread(target=_disturb, args=(site.data / "busy", end))
        writer.start()
        seconds: dict[str, float] = {}
        try:
            for name in ("full", "incremental"):
                began = time.monotonic()
                site.demand_saved()
                seconds[name] = time.monotonic() - began
                if name == "full":
                    changed = _change(site.data, files, chance)
        finally:
            end.set()
            writer.join()
        began = time.monotonic()
        done = site.bkp("station", "restore", SET, "--to", str(site.folder / "back"))
        assert done.returncode == 0, done.stdout + done.stderr
        seconds["restore"] = time.monotonic() - began
        faults = _compare(site.data, site.folder / "back" / str(site.data)[1:])
    return Finding(
        trial="backups: many files",
        injected=f"{files:,} files, one in ten with a name that is no UTF-8, {changed} changed between two runs; beside"
        " them files that grow, come and go while they are read",
        required="names, contents, modes and times of all come back; what changes meanwhile hurts no other",
        found=f"the same; {', '.join(f'{name} {taken:.0f} s' for name, taken in seconds.items())}",
        faults=faults,
    )


def _fill(root: Path, files: int, chance: random.Random) -> None:
    for number in range(files):
        folder = root / f"folder{number // _IN_A_FOLDER}"
        if number % _IN_A_FOLDER == 0:
            folder.mkdir()
        path = folder / (f"odd \udcff\n {number}" if number % 10 == 0 else f"file {number}")
        path.write_bytes(chance.randbytes(chance.randrange(2048)))
        if number % 17 == 0:
            path.chmod(0o640)


def _change(root: Path, files: int, chance: random.Random) -> int:
    """Change one file of a hundred, so that duplicity sees it, which knows a change by the whole second of its time."""
    chosen = chance.sample(sorted(path for path in root.rglob("folder*/*") if path.is_file()), max(1, files // 100))
    for path in chosen:
        before = path.stat().st_mtime
        path.write_bytes(chance.randbytes(500))
        os.utime(path, (before + 2,) * 2)
    return len(chosen)


def _disturb(folder: Path, end: threading.Event) -> None:
    with (folder / "growing").open("ab", buffering=0) as growing:
        for number in count():
            growing.write(b"%08d\n" % number * 50)
            (folder / "fleeting").write_bytes(b"x" * (number % 7000))
            (folder / "fleeting").unlink()
            if end.wait(0.01):
                return


def _compare(ours: Path, theirs: Path) -> list[str]:
    """Return how the restored tree differs: times as whole seconds, which is what the tar format of duplicity keeps."""
    left, right = _look(ours), _look(theirs)
    wrong = sorted(path for path in left.keys() | right.keys() if left.get(path) != right.get(path))
    return [f"{path!a}: was {str(left.get(path))[:80]}, is {str(right.get(path))[:80]}" for path in wrong[:20]]


def _look(root: Path) -> dict[str, tuple[int, int, bytes]]:
    return {
        str(path.relative_to(root)): (stat.S_IMODE(path.stat().st_mode), int(path.stat().st_mtime), path.read_bytes())
        for path in root.glob("folder*/*")
    }
