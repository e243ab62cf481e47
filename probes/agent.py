"""What watching costs: memory and processor of the process that runs the probes, and what it counts of itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from probes.declaration import Failure, Item, ProbeFailedError, Reading, probe
from probes.visit import read_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from probes.declaration import NoParameters, Visit

_ROLLUP: Final = "/proc/self/smaps_rollup"  # of this process, wherever the watched proc filesystem lies

_COUNTED: Final = (
    Item(key="agent.probe_errors", unit="", description="Runs of probes that failed in whole or part, since start"),
    Item(key="agent.missed_runs", unit="", description="Runs of probes left out, since start"),
    Item(key="agent.clock_steps", unit="", description="Times the clock was set by over a second, since start"),
    Item(key="agent.lost_values", unit="", description="Values the spool could not take, since start"),
    Item(key="agent.spool_bytes", unit="B", description="Bytes waiting on disk to be stored by the server"),
    Item(key="agent.dropped_records", unit="", description="Records dropped because the spool was full, since start"),
)

_ITEMS = (
    Item(key="agent.memory", unit="B", description="Memory of the agent, shared pages counted in part (Pss)"),
    Item(key="agent.cpu", unit="%", description="Time the agent used, as share of one processor"),
    *_COUNTED,
)

STATUS: Final = Item(
    key="agent.probe_status",
    unit="",
    description="ok, or what went wrong in the probe's last run",
    parameter="probe",
    type="text",
)


@probe("agent", items=(*_ITEMS, STATUS))
def read_agent(visit: Visit, _parameters: NoParameters) -> Iterator[Reading | Failure]:
    """Read the process itself; the status texts are written by whoever runs the probes."""
    share = visit.rate("cpu", time.process_time())
    yield Reading("agent.cpu", 100.0 * share if share is not None else None)
    own = visit.own()
    for item in _COUNTED:
        yield Reading(item.key, own.get(item.key))
    try:
        yield Reading("agent.memory", _proportional_bytes(read_text(_ROLLUP)))
    except ProbeFailedError as error:
        yield Failure(str(error))


def _proportional_bytes(text: str) -> float | None:
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return float(line.split()[1]) * 1024
    return None
