"""A backup job of a running domain: all its disks as they are at one instant, served while the guest goes on.

libvirt's pull mode (libvirt.org, "Domain backup XML format"): QEMU serves each disk over NBD as it was when the job
began, and puts what the guest overwrites meanwhile into scratch files. In the same instant a checkpoint begins to
record which blocks change from then on. The guest's file systems are frozen for that instant where its agent answers.
"""

from __future__ import annotations

import os
import secrets
import select
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as Xml

from backup.errors import SourceFailed, TimedOut
from backup.sources.disks import guardian
from backup.sources.disks.exchange import made_exchange
from backup.sources.disks.nbd import address
from backup.sources.disks.virsh import environment, words_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from backup.sources.disks.domain import Domain
    from backup.sources.disks.virsh import Virsh

BITMAP: Final = "changed"
_FREEZE_SECONDS: Final = 20.0
_ANSWER_SECONDS: Final = 120.0  # longer than the guardian tries
_RUNNING: Final = Path("/var/lib/libvirt/qemu")  # of qemu:///system
_SHORT: Final = 20  # how much of a domain's name libvirt puts into its folder's
_MOST_SOCKET: Final = 100  # a socket's path may have 107 bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a job has its files. exchange: a folder of its own that QEMU can enter, made and removed by it.

    papers: a private folder for what libvirt is told, of which nothing is left once the job has begun.
    """

    exchange: Path
    papers: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a job is to do. base: the checkpoint to tell changes from; since: the disks whose changes it tells.

    checkpoint: the one to make, None without; marks: the disks it records (qcow2 only).
    """

    base: str | None
    since: frozenset[str]
    checkpoint: str | None
    marks: frozenset[str]
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """Disks that can be read: their URIs, the bitmap of what changed where there is one, and what to put on record."""

    uris: Mapping[str, str]
    bitmaps: Mapping[str, str]
    record: Mapping[str, Any]


@contextmanager
def open_running(virsh: Virsh, domain: Domain, job: Job) -> Iterator[Opened]:
    """Begin a job; at the end it is over, whether we live or not: its guardian ends it when we die.

    Raises SourceFailed, TimedOut. A guest that cannot be frozen is saved as after a power cut, and that is on record.
    """
    exchange = job.place.exchange
    socket = folder_for_sockets(domain, exchange) / f"watchkeep-{secrets.token_hex(4)}.sock"
    if len(os.fsencode(socket)) > _MOST_SOCKET:
        raise SourceFailed(f"{socket} is too long for a socket: set `exchange` to a shorter folder")
    told = [_backup_xml(domain, job, socket)]
    if job.checkpoint is not None:
        told.append(_checkpoint_xml(domain, job, job.checkpoint))
    with _guarded(virsh.uri, domain, exchange) as orders:
        doing = f"beginning the backup of domain {domain.name!r}"
        with _written(job.place.papers, told) as papers, _frozen(virsh, domain.name, orders) as frozen:
            virsh.ask("backup-begin", f"--domain={domain.name}", *papers, doing=doing)
        yield Opened(
            uris={disk.name: address(socket, disk.name) for disk in domain.disks},
            bitmaps=dict.fromkeys(job.since, BITMAP),
            record=frozen,
        )


def folder_for_sockets(domain: Domain, exchange: Path, running: Path = _RUNNING) -> Path:
    """Return where a domain's QEMU may make a socket: libvirt's own folder of it, which goes with it; else `exchange`.

    The profile that AppArmor confines it by (libvirt's virt-aa-helper) lets it make sockets nowhere else; libvirt adds
    scratch files to it, wherever they lie.
    """
    found = (
        [] if domain.number is None else list(running.glob(f"domain-{domain.number}-{escape(domain.name[:_SHORT])}"))
    )
    return found[0] if len(found) == 1 else exchange


@contextmanager
def _written(folder: Path, told: Sequence[Xml.Element]) -> Iterator[list[str]]:
    """Write XML for virsh to files that are gone afterwards; yields their paths."""
    papers = [folder / f"{top.tag}.xml" for top in told]
    try:
        for paper, top in zip(papers, told, strict=True):
            paper.write_bytes(Xml.tostring(top))
        yield [str(paper) for paper in papers]
    finally:
        for paper in papers:
            paper.unlink(missing_ok=True)


def _backup_xml(domain: Domain, job: Job, socket: Path) -> Xml.Element:
    top = Xml.Element("domainbackup", mode="pull")
    Xml.SubElement(top, "server", transport="unix", socket=str(socket))
    disks = Xml.SubElement(top, "disks")
    for name in domain.left_out:
        Xml.SubElement(disks, "disk", name=name, backup="no")
    for disk in domain.disks:
        made = Xml.SubElement(disks, "disk", name=disk.name, backup="yes", type="file", exportname=disk.name)
        if disk.name in job.since and job.base is not None:
            made.attrib |= {"backupmode": "incremental", "incremental": job.base, "exportbitmap": BITMAP}
        else:
            made.attrib |= {"backupmode": "full"}
        Xml.SubElement(made, "scratch", file=str(job.place.exchange / f"{disk.name}.scratch"))
    return top


def _checkpoint_xml(domain: Domain, job: Job, name: str) -> Xml.Element:
    top = Xml.Element("domaincheckpoint")
    Xml.SubElement(top, "name").text = name
    disks = Xml.SubElement(top, "disks")
    for left_out in domain.left_out:
        Xml.SubElement(disks, "disk", name=left_out, checkpoint="no")
    for disk in domain.disks:
        Xml.SubElement(disks, "disk", name=disk.name, checkpoint="bitmap" if disk.name in job.marks else "no")
    return top


@contextmanager
def _guarded(uri: str, domain: Domain, exchange: Path) -> Iterator[_Orders]:
    """Make `exchange` and start its guardian, which ends the job at the end and removes it.

    Raises SourceFailed when something could not be ended.
    """
    with made_exchange(exchange, domain) as lock:
        child = subprocess.Popen(
            [sys.executable, "-I", guardian.__file__, uri, domain.name, str(exchange)],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(lock,),  # ours no more: it is let go when the guardian has ended
            start_new_session=True,
            cwd="/",
        )
    assert child.stdin is not None  # noqa: S101 - for the type checker: all are pipes
    assert child.stdout is not None  # noqa: S101
    try:
        yield _Orders(child.stdin, child.stdout)
    finally:
        try:
            _, words = child.communicate(timeout=_ANSWER_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            words = b"its guardian did not end"
            child.returncode = 1
    if child.returncode != 0:
        raise SourceFailed(f"what the backup of domain {domain.name!r} held: {words.decode('utf-8', 'replace')}")


class _Orders:
    """What the guardian is told, and what it answers."""

    def __init__(self, orders: IO[bytes], answers: IO[bytes]) -> None:
        self._orders, self._answers = orders, answers

    def give(self, order: str) -> str:
        """Give an order; return the answer. Raises SourceFailed, TimedOut."""
        try:
            self._orders.write(f"{order}\n".encode())
            self._orders.flush()
        except BrokenPipeError as error:
            raise SourceFailed("the backup's guardian ended before its time") from error
        if not select.select([self._answers], [], [], _ANSWER_SECONDS)[0]:
            raise TimedOut(f"the guest could not be {order}ed in time")
        return self._answers.readline().decode().strip()


@contextmanager
def _frozen(virsh: Virsh, name: str, orders: _Orders) -> Iterator[dict[str, Any]]:
    """Freeze the guest's file systems where its agent answers; yields what is on record, whole when the context ends.

    The guardian is told before, so that it thaws the guest whatever becomes of us; it also thaws at the end.
    """
    record: dict[str, Any] = {"is_frozen": False, "frozen_seconds": None, "not_frozen_because": None}
    began = time.monotonic()
    orders.give("freeze")
    end = "thaw"
    fault: str | None
    try:
        ended = virsh.try_("domfsfreeze", f"--domain={name}", doing=f"freezing {name!r}", seconds=_FREEZE_SECONDS)
        fault = words_of(ended) if ended.exit_code else None
        end = "thaw" if fault is None else "forget"
    except TimedOut as error:  # it may freeze yet
        fault = str(error)
    record |= {"is_frozen": fault is None, "not_frozen_because": fault}
    try:
        yield record
    finally:
        answer = orders.give(end)
    if answer == "frozen":
        raise SourceFailed(f"the guest of domain {name!r} may be frozen still: virsh domfsthaw {name}")
    if fault is None:
        record["frozen_seconds"] = round(time.monotonic() - began, 3)
