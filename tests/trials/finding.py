"""What a trial found, as a row of the table that `python -m tests.trials` prints."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What was injected, what is required, what was found; `faults` say what must not be, none when it passed."""

    trial: str
    injected: str
    required: str
    found: str
    faults: list[str] = field(default_factory=list)


def assert_passed(findings: list[Finding]) -> None:
    """Fail with what was injected and found when something must not be, or nothing was found at all."""
    assert findings
    for finding in findings:
        assert not finding.faults, "\n".join([f"{finding.trial}: {finding.injected}: {finding.found}", *finding.faults])
