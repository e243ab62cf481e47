"""Network block devices: an image served read-only, a served disk as a file, and the blocks of it that changed."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from backup.errors import SourceFailed, TimedOut
from backup.runtime.child import Program, run, running
from backup.runtime.mounts import unmount
from backup.sources.disks.virsh import environment, words_of

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

_START_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.02
_MAP_BYTES: Final = 64 << 20
_WORDS: Final = 400


def address(socket: Path, export: str) -> str:
    """Return the URI of an export behind a socket."""
    return f"nbd+unix:///{quote(export)}?socket={quote(str(socket))}"


@contextmanager
def served(image: str, kind: str, socket: Path, export: str, bitmap: str | None = None) -> Iterator[str]:
    """Serve an image that nobody has open for writing; yields its URI. `bitmap`: also which blocks are in that one.

    While this lasts no QEMU can open the image for writing: a domain that is off cannot be started. Raises
    SourceFailed when it is in use, or is not of its `kind` ("qcow2", "raw").
    """
    arguments = [
        "qemu-nbd", "--read-only", "--persistent", "--shared=8", f"--format={kind}", f"--socket={socket}",
        f"--export-name={export}", *([] if bitmap is None else [f"--bitmap={bitmap}"]), image,
    ]  # fmt: skip
    with _started(arguments, f"serving {image}") as server:
        uri = address(socket, export)
        # It makes its socket first, and finds then that the image is in use.
        _wait(server, lambda: socket.is_socket() and _answers(uri), f"{image} cannot be read by qemu-nbd")
        yield uri
        _demand_alive(server, "qemu-nbd")


def _answers(uri: str) -> bool:
    asking = Program(arguments=["nbdinfo", "--size", uri], environment=environment(), doing="asking qemu-nbd")
    try:
        return run(asking, time_limit_seconds=_START_SECONDS).exit_code == 0
    except OSError as error:
        raise SourceFailed(f"nbdinfo cannot be started ({error.strerror}): install libnbd's programs") from error


@contextmanager
def as_file(uri: str, file: Path) -> Iterator[None]:
    """Show an export as a read-only file at the place of `file`, which has to be there and be empty.

    Raises SourceFailed when it cannot be shown, and at the end when its server died meanwhile.
    """
    arguments = ["nbdfuse", "--readonly", str(file), uri]
    with _started(arguments, f"showing {file.name}") as server:
        try:
            _wait(
                server, lambda: file.stat().st_size > 0, f"{file.name} cannot be shown by nbdfuse (is there /dev/fuse?)"
            )
            yield
            _demand_alive(server, "nbdfuse")
        finally:
            with suppress(OSError):  # it was never there, or went with its server
                unmount(file)


def dirty_blocks(uri: str, bitmap: str) -> list[tuple[int, int]]:
    """Return (offset, length) of what a bitmap says was changed, ascending. Raises SourceFailed, TimedOut."""
    doing = "reading which blocks changed"
    program = Program(
        arguments=["nbdinfo", f"--map=qemu:dirty-bitmap:{bitmap}", uri], environment=environment(), doing=doing
    )
    try:
        ended = run(program, time_limit_seconds=_START_SECONDS * 10, output_limit_bytes=_MAP_BYTES)
    except OSError as error:
        raise SourceFailed(f"nbdinfo cannot be started ({error.strerror}): install libnbd's programs") from error
    if ended.exit_code != 0 or ended.output_was_cut:
        raise SourceFailed(f"{doing}: {words_of(ended) if ended.exit_code else 'too many for an incremental: --full'}")
    rows = [line.split() for line in ended.output.splitlines()]
    return [(int(row[0]), int(row[1])) for row in rows if row[2] == "1"]


@contextmanager
def _started(arguments: list[str], doing: str) -> Iterator[subprocess.Popen[bytes]]:
    try:
        with running(Program(arguments=arguments, environment=environment(), doing=doing)) as server:
            yield server
    except FileNotFoundError as error:
        if error.filename != arguments[0]:
            raise
        raise SourceFailed(f"{arguments[0]} is not installed (qemu-utils, nbdfuse)") from error


def _wait(server: subprocess.Popen[bytes], is_ready: Callable[[], bool], fault: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not is_ready():
        if server.poll() is not None:
            said = server.stderr.read(64 << 10).decode("utf-8", "replace") if server.stderr else ""
            raise SourceFailed(f"{fault}: {' '.join(said.split())[-_WORDS:] or 'it ended without a word'}")
        if time.monotonic() > deadline:
            raise TimedOut(f"{fault}: not within {_START_SECONDS:.0f} s")
        time.sleep(_LOOK_SECONDS)


def _demand_alive(server: subprocess.Popen[bytes], name: str) -> None:
    if server.poll() is not None:
        raise SourceFailed(f"{name} ended with exit code {server.returncode} while the disk was being saved")
