"""What a check says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class State(IntEnum):
    """How it stands, the worse the larger. Unknown: what it needs could not be had, and another check says why."""

    OK = 0
    UNKNOWN = 1
    WARNING = 2
    FAILURE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`check` names what was looked at, `message` says what was found, `remedy` what to do, "" when nothing is."""

    check: str
    state: State
    message: str
    remedy: str = ""


def fine(check: str, message: str) -> Verdict:
    """In order."""
    return Verdict(check=check, state=State.OK, message=message)


def unknown(check: str, message: str) -> Verdict:
    """Could not be looked at."""
    return Verdict(check=check, state=State.UNKNOWN, message=message)


def warning(check: str, message: str, remedy: str) -> Verdict:
    """Works, but somebody should do something."""
    return Verdict(check=check, state=State.WARNING, message=message, remedy=remedy)


def failure(check: str, message: str, remedy: str) -> Verdict:
    """Does not work."""
    return Verdict(check=check, state=State.FAILURE, message=message, remedy=remedy)
