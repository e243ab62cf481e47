"""Lists and runs the trials, and prints what they found.

python -m tests.trials                  the names
python -m tests.trials kills fence      the short forms of these
python -m tests.trials --long [NAME]    the long forms, of all without a name
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from typing import TYPE_CHECKING, Any

from core.runtime.logging import configure
from tests.trials.catalogue import TRIALS

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from tests.trials.finding import Finding


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.trials", description="Fault trials with real processes.")
    parser.add_argument("--long", action="store_true", help="the long forms")
    parser.add_argument("names", nargs="*", choices=[[], *TRIALS], metavar="NAME", help=", ".join(TRIALS))
    wishes = parser.parse_args()
    if not wishes.names and not wishes.long:
        for name, trial in TRIALS.items():
            sys.stdout.write(f"{name:12} {(sys.modules[trial.__module__].__doc__ or '').splitlines()[0]}\n")
        return 0
    configure()
    is_well = True
    for name in wishes.names or TRIALS:
        for finding in asyncio.run(_run_until_terminated(TRIALS[name](is_long=wishes.long))):
            is_well = is_well and not finding.faults
            sys.stdout.write(f"| {finding.trial} | {finding.injected} | {finding.required} | {finding.found} |" + "\n")
            for fault in finding.faults:
                sys.stdout.write(f"    FAULT {fault}" + "\n")
        sys.stdout.flush()
    return 0 if is_well else 1


async def _run_until_terminated(trial: Coroutine[Any, Any, list[Finding]]) -> list[Finding]:
    """Run the trial; SIGTERM cancels it as SIGINT does, so that no process of it is left behind."""
    task = asyncio.ensure_future(trial)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


if __name__ == "__main__":
    raise SystemExit(main())
