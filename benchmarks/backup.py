"""How fast sets are saved, restored, verified, beside bare duplicity, restic, borg: `python -m benchmarks.backup`.

The same files, the same folder to save to, everything encrypted. Two fifths of the bytes do not compress, the rest is
text. Each program saves all, saves again after 2 % have changed, brings all back (which is compared byte by byte),
brings one file back, and verifies what lies there by reading it. Every round asks all of them in turn; the figures are
medians. Beside the clock's seconds stand the processor's, of the program and all it started: what else runs on the
machine disturbs them less. `--image` saves the image of a disk instead, with scattered pages changed, `--dump` a
database's dump with scattered rows changed, both by blocks of 4 KiB (`max_block_size`). `--saving`: nothing is
restored or verified. `--long`: sixteen times the data and five rounds; `--json`: one object.

Where other things run on the machine, `chrt --rr 1` before it gives the programs the cores, all of them alike.

restic and borg have to be there: `apt-get install restic borgbackup`.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import shutil
import statistics
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.backup_data import change, make_dump, make_files, make_image
from benchmarks.backup_programs import PROGRAMS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.backup_programs import Cost, Program

SHORT_MIB, LONG_FACTOR, LONG_ROUNDS = 120, 16, 5
SAVING: Final = ("full", "changed")
STEPS: Final = (*SAVING, "restore", "one file", "verify")


def measure(program: Program, data: Path, folder: Path, wanted: Path, steps: Sequence[str]) -> dict[str, Cost]:
    """Take one program through all steps, or SAVING; `folder` is its own, empty; `wanted` is one file. Changes data."""
    found: dict[str, Cost] = {}
    found["full"] = program.save(data)
    change(data)
    found["changed"] = program.save(data)
    if steps == SAVING:
        return found
    back = folder / "back"
    found["restore"] = program.restore(None, back)
    demand_equal(data, program.restored(back, data))
    shutil.rmtree(back)
    found["one file"] = program.restore(wanted.relative_to(data), back)
    found["verify"] = program.verify()
    return found


def demand_equal(left: Path, right: Path) -> None:
    """Return when both trees hold the same files with the same bytes."""
    names = sorted(path.relative_to(left) for path in left.rglob("*") if path.is_file())
    others = sorted(path.relative_to(right) for path in right.rglob("*") if path.is_file())
    _, unequal, unread = filecmp.cmpfiles(left, right, [str(name) for name in names], shallow=False)
    if names != others or unequal or unread:
        raise SystemExit(f"what came back to {right} is not what was saved: {(unequal + unread)[:3]}")


def rounds(
    count: int, mib: int, names: Sequence[str], make: Callable[[Path, int], Path], steps: Sequence[str]
) -> dict[str, list[dict[str, Cost]]]:
    """Measure each program `count` times, in turn, each time on the same data."""
    found: defaultdict[str, list[dict[str, Cost]]] = defaultdict(list)
    for _ in range(count):
        for name in names:
            with tempfile.TemporaryDirectory(prefix="bkp-bench-") as scratch:
                folder = Path(scratch)
                data = folder / "data"
                wanted = make(data, mib)
                with PROGRAMS[name](folder, is_one_file=make is not make_files) as program:
                    found[name].append(measure(program, data, folder, wanted, steps))
    return found


def medians(found: dict[str, list[dict[str, Cost]]]) -> dict[str, dict[str, dict[str, float]]]:
    """Return seconds, processor seconds and stored MiB by program and step."""
    return {
        name: {
            step: {
                "seconds": round(statistics.median(each[step].seconds for each in runs), 2),
                "processor_seconds": round(statistics.median(each[step].processor_seconds for each in runs), 2),
                "stored_mib": round(statistics.median(each[step].stored_bytes for each in runs) / (1 << 20), 1),
            }
            for step in runs[0]
        }
        for name, runs in found.items()
    }


def show(table: dict[str, dict[str, dict[str, float]]], mib: int, count: int) -> None:
    """Print a row a program: seconds (of the processor) by step, what lies at the target, and how it compares."""
    print(f"{mib} MiB, {count} round(s); seconds, the processor's in brackets; MiB stored")
    print(
        f"{'':26}" + "".join(f"{step:>17}" for step in next(iter(table.values()))) + f"{'full MiB':>10}{'more MiB':>10}"
    )
    for name, steps in table.items():
        cells = "".join(f"{c['seconds']:>9.1f} ({c['processor_seconds']:>5.1f})" for c in steps.values())
        print(f"{name:26}{cells}{steps['full']['stored_mib']:>10.1f}{steps['changed']['stored_mib']:>10.1f}")
    base, own, parted = (table.get(name) for name in ("duplicity, its defaults", "bkp", "bkp, side by side"))
    same = table.get("duplicity, our settings")
    if own is not None and same is not None:
        for step in SAVING:
            more = own[step]["processor_seconds"] / same[step]["processor_seconds"] - 1
            longer = own[step]["seconds"] / same[step]["seconds"] - 1
            print(
                f"bkp over bare duplicity with the same settings, {step}: {longer:+.1%}, of the processor {more:+.1%}"
            )
    if base is None:
        return
    for name, ours in (("bkp", own), ("bkp, side by side", parted)):
        if ours is None:
            continue
        for step in ours:
            ratio = base[step]["seconds"] / ours[step]["seconds"]
            busy = base[step]["processor_seconds"] / ours[step]["processor_seconds"]
            print(f"{name}, {step}: {ratio:.2f} times as fast as duplicity's defaults, by the processor {busy:.2f}")
    if own is None:
        return
    for step in SAVING:
        print(f"bkp, {step}: {own[step]['stored_mib'] / base[step]['stored_mib']:.3f} of the defaults' bytes stored")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--long", action="store_true")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument(
        "--image", dest="make", action="store_const", const=make_image, default=make_files,
        help="one image with scattered changes instead of files",
    )  # fmt: skip
    kind.add_argument(
        "--dump", dest="make", action="store_const", const=make_dump, help="one dump of a database instead of files"
    )
    parser.add_argument("--mib", type=int, default=SHORT_MIB, help=f"size of the data, {SHORT_MIB} unless told")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument(
        "--saving", dest="steps", action="store_const", const=SAVING, default=STEPS, help="restore and verify nothing"
    )
    parser.add_argument("--only", action="append", choices=sorted(PROGRAMS), help="a program; may be said again")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = parser.parse_args()
    mib = chosen.mib * (LONG_FACTOR if chosen.long else 1)
    count = max(chosen.rounds, LONG_ROUNDS if chosen.long else 1)
    table = medians(rounds(count, mib, chosen.only or list(PROGRAMS), chosen.make, chosen.steps))
    document: dict[str, Any] = {"mib": mib, "rounds": count, "programs": table}
    if chosen.json:
        print(json.dumps(document))
    else:
        show(table, mib, count)


if __name__ == "__main__":
    main()
