"""Runs every benchmark, one after the other: `python -m benchmarks [--long]`.

A single one: `python -m benchmarks.NAME`.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Final

BENCHMARKS: Final = (
    "agent", "evaluation", "store_layout", "storage", "ingest", "query", "latency", "polling", "exchange",
    "backup",
)  # fmt: skip
WITH_LONG_FORM: Final = ("agent", "evaluation", "storage", "ingest", "query", "latency", "exchange", "backup")


def main() -> int:
    """Run them; returns 1 when one failed."""
    is_long = "--long" in sys.argv[1:]
    failed = []
    for name in BENCHMARKS:
        print(f"\n== {name}", flush=True)
        long_form = ["--long"] if is_long and name in WITH_LONG_FORM else []
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *long_form], check=False).returncode:
            failed.append(name)
    if failed:
        print(f"\nfailed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
