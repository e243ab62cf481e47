"""A command on a device without an agent: what it prints becomes items."""

import math
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from core.config.reader import setting
from probes.declaration import Failure, Item, Reading, Visit, probe
from probes.device import at_device

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_MOST_LINES: Final = 1000
_ITEMS: Final = (
    Item(key="ssh.value", unit="", description="A number a command printed", parameter="name"),
    Item(key="ssh.text", unit="", description="What a command printed", parameter="name", type="text"),
    Item(key="ssh.seconds", unit="s", description="How long the command took, connecting included", parameter="name"),
)


def _check_command(command: tuple[str, ...]) -> str | None:
    is_fit = bool(command) and not any("\0" in (word or "") for word in command)
    return None if is_fit else "expected a program and its arguments, one entry each"


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Which command to run, and how to read what it prints."""

    name: str = field(metadata=setting("name of what it measures in the items"))
    command: tuple[str, ...] = field(
        metadata=setting("the program and its arguments; none of them is read by a shell", check=_check_command)
    )
    output: Literal["number", "text", "lines"] = field(
        default="number",
        metadata=setting("number or text: all it prints; lines: each a name, a blank and a number (ssh.value[name])"),
    )
    unit: str = field(default="", metadata=setting("unit of the numbers"))
    seconds: float = field(default=10.0, metadata=setting("how long it may take", minimum=0.1))


@probe("ssh.command", items=_ITEMS, parameters=Parameters, timeout_seconds=60.0, polls="ssh")
async def run_command(visit: Visit, parameters: Parameters) -> "AsyncIterator[Reading | Failure]":
    """Run it over a kept connection; an exit code other than 0 is a failure that quotes what it complained."""
    from probes.ssh.connections import Connections  # noqa: PLC0415 - only those who poll have paramiko

    at = at_device(visit)
    # sshd hands the line to the user's shell: quoted, each argument arrives as it is.
    ended = await at.shared.get(Connections).run(at, shlex.join(parameters.command), parameters.seconds)
    yield Reading("ssh.seconds", ended.seconds, parameters.name)
    if ended.code != 0:
        complaint = ended.errors.strip().splitlines()
        quoted = f": {complaint[-1]:.200}" if complaint else ""
        yield Failure(f"{parameters.name}: the command ended with code {ended.code}{quoted}")
        return
    for found in read_output(ended.output, parameters):
        yield found


def read_output(output: str, parameters: Parameters) -> "Iterator[Reading | Failure]":
    """Read what a command printed."""
    text = output.strip()
    if parameters.output == "text":
        yield Reading("ssh.text", text, parameters.name)
    elif parameters.output == "number":
        yield _number(text, parameters.name, parameters.unit)
    else:
        lines = [line for line in text.splitlines() if line.strip()]
        for line in lines[:_MOST_LINES]:
            name, _, value = line.strip().rpartition(" ")
            yield _number(value, name.strip() or value, parameters.unit)
        if len(lines) > _MOST_LINES:
            yield Failure(f"{parameters.name}: it printed {len(lines)} lines; {_MOST_LINES} are read")


def _number(text: str, name: str, unit: str) -> Reading | Failure:
    try:
        value = float(text)
    except ValueError:
        return Failure(f"{name:.100}: {text!r:.60} is no number")
    return Reading("ssh.value", value, name, unit) if math.isfinite(value) else Failure(f"{name:.100}: {text} is none")
