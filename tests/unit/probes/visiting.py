"""Reads a probe in a proc folder that a test wrote."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from probes.declaration import Failure, ProbeFailedError
from probes.visit import Visit

if TYPE_CHECKING:
    from pathlib import Path

    from probes.declaration import Probe, Reading


class Reader:
    """Reads one probe again and again, `seconds` apart."""

    def __init__(self, probe: Probe, proc: Path | str = "/proc", parameters: object | None = None) -> None:
        self.probe = probe
        self.visit = Visit(str(proc))
        self.parameters = probe.parameters() if parameters is None else parameters
        self.at = 100.0
        self.failures: list[str] = []

    def read(self, seconds: float = 10.0) -> dict[str, float | str]:
        """Return the values found, by key; what could not be read is in `failures`."""
        self.at += seconds
        self.visit.begin(self.at)
        self.failures = []
        values: dict[str, float | str] = {}
        found = self.probe.read(self.visit, self.parameters)
        assert isinstance(found, Iterator)
        try:
            for entry in found:
                if isinstance(entry, Failure):
                    self.failures.append(entry.reason)
                elif entry.value is not None:
                    values[_key(entry)] = entry.value
        except ProbeFailedError as error:
            self.failures.append(str(error))
        return values


def _key(reading: Reading) -> str:
    return f"{reading.item}[{reading.parameter}]" if reading.parameter else reading.item
