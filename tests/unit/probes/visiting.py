"""Reads a probe in a proc folder that a test wrote."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from probes.declaration import Afterwards, Failure, ProbeFailedError
from probes.visit import Visit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from probes.declaration import Probe, Reading


class Reader:
    """Reads one probe again and again, `seconds` apart. What it found stays published only while `is_stored`."""

    def __init__(
        self,
        probe: Probe,
        proc: Path | str = "/proc",
        parameters: object | None = None,
        *,
        visit: Visit | None = None,
    ) -> None:
        self.probe = probe
        self.visit = visit or Visit(str(proc))
        self.parameters = probe.parameters() if parameters is None else parameters
        self.at = 100.0
        self.is_stored = True
        self.failures: list[str] = []
        self.readings: list[Reading] = []

    def read(self, seconds: float = 10.0) -> dict[str, float | str]:
        """Return the values found, by key; what could not be read is in `failures`, all of it in `readings`."""
        self.at += seconds
        self.visit.begin(self.at)
        self.failures, self.readings = [], []
        afterwards: list[Callable[[], None]] = []
        values: dict[str, float | str] = {}
        found = self.probe.read(self.visit, self.parameters)
        assert isinstance(found, Iterator)
        try:
            for entry in found:
                if isinstance(entry, Failure):
                    self.failures.append(entry.reason)
                elif isinstance(entry, Afterwards):
                    afterwards.append(entry.do)
                elif entry.value is not None:
                    self.readings.append(entry)
                    values[_key(entry)] = entry.value
        except ProbeFailedError as error:
            self.failures.append(str(error))
        if self.is_stored:
            for do in afterwards:
                do()
        return values

    def has_news(self) -> bool:
        """Whether the probe wants to be read before it is due."""
        assert self.probe.has_news is not None
        return self.probe.has_news(self.visit, self.parameters)

    def all_of(self, item: str) -> list[float | str | None]:
        """Return every value of `item` that the last read found, in order."""
        return [reading.value for reading in self.readings if reading.item == item]


def _key(reading: Reading) -> str:
    return f"{reading.item}[{reading.parameter}]" if reading.parameter else reading.item
