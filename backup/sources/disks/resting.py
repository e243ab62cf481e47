"""Images that no QEMU has open: a domain that is off, or image files as they lie there."""

from __future__ import annotations

import json
import shutil
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from backup.errors import SourceFailed
from backup.runtime.child import Program, run
from backup.sources.disks.domain_job import Opened
from backup.sources.disks.nbd import served
from backup.sources.disks.virsh import environment, words_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from backup.sources.disks.domain import DomainDisk

_CALL_SECONDS: Final = 60.0


@contextmanager
def open_resting(disks: Sequence[DomainDisk], token: str, base: str | None) -> Iterator[Opened]:
    """Serve the images read-only, all at once, so that none can change before all are read.

    token: a name that is the same at every run of the set, and no other's. base: a checkpoint's name; an image whose
    bitmap of that name is whole tells what changed since. Raises SourceFailed when an image is in use, or lies on the
    network.
    """
    uris: dict[str, str] = {}
    bitmaps: dict[str, str] = {}
    with _sockets(token) as sockets, ExitStack() as stack:
        for disk in disks:
            if disk.source is None:
                raise SourceFailed(
                    f"disk {disk.name} is no file of this machine: it is saved only while its domain runs"
                )
            bitmap = base if base is not None and has_bitmap(disk, base) else None
            server = served(disk.source, disk.format, sockets / f"{disk.name}.sock", disk.name, bitmap)
            uris[disk.name] = stack.enter_context(server)
            if bitmap is not None:
                bitmaps[disk.name] = bitmap
        yield Opened(uris=uris, bitmaps=bitmaps, record={"is_frozen": False, "not_frozen_because": "it is off"})


@contextmanager
def _sockets(token: str) -> Iterator[Path]:
    """A private folder for sockets, with a short path; those that killed runs left are removed."""
    prefix = f"bkp-{token}-"
    for left in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def has_bitmap(disk: DomainDisk, name: str) -> bool:
    """Whether an image records in this bitmap, and in no other, what changes: then it has all since its beginning."""
    if disk.format != "qcow2":
        return False
    data = image_facts(disk).get("format-specific", {}).get("data", {})
    recording = [each for each in data.get("bitmaps", []) if "auto" in each["flags"]]
    return [each["name"] for each in recording] == [name] and "in-use" not in recording[0]["flags"]


def image_facts(disk: DomainDisk) -> dict[str, Any]:
    """Return what qemu-img says of an image that is not in use. Raises SourceFailed, TimedOut."""
    doing = f"looking at {disk.source}"
    program = Program(
        arguments=["qemu-img", "info", "--output=json", "-f", disk.format, str(disk.source)],
        environment=environment(),
        doing=doing,
    )
    try:
        ended = run(program, time_limit_seconds=_CALL_SECONDS)
    except OSError as error:
        raise SourceFailed(f"qemu-img cannot be started ({error.strerror}): install qemu-utils") from error
    if ended.exit_code != 0:
        raise SourceFailed(f"{doing}: {words_of(ended)}")
    try:
        found: dict[str, Any] = json.loads(ended.output)
    except ValueError as error:
        raise SourceFailed(f"{doing}: its answer is no JSON") from error
    return found
