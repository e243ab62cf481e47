"""libvirt by its own client, virsh: what a domain is, its checkpoints, and the errors in libvirt's words."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as Xml

from backup.child import Program, run
from backup.errors import SourceFailed
from backup.restoring.disks import is_disk_name

if TYPE_CHECKING:
    from collections.abc import Collection

    from backup.child import Ended

CALL_SECONDS: Final = 60.0
_WORDS: Final = 400
_PASSED_ON: Final = ("PATH", "HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "LIBVIRT_AUTH_FILE")
_CAN_BE_READ: Final = ("qcow2", "raw")


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainDisk:
    """A disk of a domain: its target's name ("vda"), its image's format, and its file or device (None: a network's)."""

    name: str
    format: str
    source: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """A domain as libvirt has it now.

    left_out: names of disks that are not saved. owner: user and group of its QEMU process; None where not told.
    """

    name: str
    uuid: str
    is_running: bool
    disks: tuple[DomainDisk, ...]
    left_out: tuple[str, ...]
    owner: tuple[int, int] | None


class Virsh:
    """Calls virsh for one libvirt. Every call has a time limit; its exit code counts."""

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def ask(self, *arguments: str, doing: str, seconds: float = CALL_SECONDS) -> str:
        """Return what a call answers. Raises SourceFailed with libvirt's own words, TimedOut."""
        ended = self.try_(*arguments, doing=doing, seconds=seconds)
        if ended.exit_code != 0:
            raise SourceFailed(f"{doing}: {words_of(ended)}")
        return ended.output

    def try_(self, *arguments: str, doing: str, seconds: float = CALL_SECONDS) -> Ended:
        """Make a call that may fail. Raises SourceFailed when there is no virsh, TimedOut."""
        program = Program(
            arguments=["virsh", f"--connect={self.uri}", "--quiet", *arguments], environment=environment(), doing=doing
        )
        try:
            return run(program, time_limit_seconds=seconds, output_limit_bytes=8 << 20)
        except OSError as error:
            raise SourceFailed(f"virsh cannot be started ({error.strerror}): install libvirt's clients") from error

    def domain(self, name: str, exclude: Collection[str] = ()) -> Domain:
        """Return what a domain is now; `exclude` names disks that are not saved.

        Raises SourceFailed when there is none of this name.
        """
        doing = f"looking at domain {name!r}"
        state = self.ask("domstate", f"--domain={name}", doing=doing).strip()
        return read_domain(self.definition(name, is_live=True), exclude, is_running=state != "shut off")

    def definition(self, name: str, *, is_live: bool) -> str:
        """Return a domain's XML: what it runs with, or what it is started from next, with its secrets."""
        options = [] if is_live else ["--inactive", "--security-info"]
        return self.ask("dumpxml", f"--domain={name}", *options, doing=f"reading the definition of {name!r}")

    def sizes(self, name: str) -> dict[str, int]:
        """Return how many bytes each disk has for its guest, by its target's name; unknown ones are left out."""
        text = self.ask("domblkinfo", f"--domain={name}", "--all", doing=f"reading the sizes of {name!r}'s disks")
        rows = [line.split() for line in text.splitlines()]
        return {row[0]: int(row[1]) for row in rows if len(row) == 4 and row[1].isdigit()}

    def checkpoints(self, name: str) -> list[str]:
        """Return the names of a domain's checkpoints."""
        text = self.ask("checkpoint-list", f"--domain={name}", "--name", doing=f"listing checkpoints of {name!r}")
        return text.split()


def environment() -> dict[str, str]:
    """Return the environment of libvirt's and QEMU's programs: their words in English, nothing of ours."""
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | {"LC_ALL": "C.UTF-8"}


def words_of(ended: Ended) -> str:
    """Return what a program said when it failed, in one line."""
    return " ".join(ended.words.split())[-_WORDS:] or f"exit code {ended.exit_code} without a word"


def parse(text: str) -> Xml.Element:
    """Return XML that libvirt wrote. Raises SourceFailed."""
    try:
        return Xml.fromstring(text)  # noqa: S314 - of this machine's libvirt; expat bounds how entities grow
    except Xml.ParseError as error:
        raise SourceFailed(f"libvirt's XML cannot be read: {error}") from error


def read_domain(text: str, exclude: Collection[str] = (), *, is_running: bool) -> Domain:
    """Return the domain of its XML. Raises SourceFailed for a disk that cannot be saved; floppies and CDs never are."""
    top = parse(text)
    disks, left_out = [], []
    for each in top.iterfind("devices/disk"):
        target = each.find("target")
        name = "" if target is None else target.get("dev", "")
        if each.get("device", "disk") != "disk" or name in exclude:
            left_out.append(name)
        else:
            disks.append(_read_disk(each, name))
    owner = top.findtext("seclabel[@model='dac']/label")
    return Domain(
        name=top.findtext("name", ""),
        uuid=top.findtext("uuid", ""),
        is_running=is_running,
        disks=tuple(disks),
        left_out=tuple(left_out),
        owner=_read_owner(owner) if owner else None,
    )


def _read_disk(disk: Xml.Element, name: str) -> DomainDisk:
    driver, source = disk.find("driver"), disk.find("source")
    kind = "raw" if driver is None else driver.get("type", "raw")
    if not is_disk_name(name):
        raise SourceFailed(f"a disk has the target {name!r}, which cannot be a file's name")
    if kind not in _CAN_BE_READ:
        raise SourceFailed(f"disk {name} is of type {kind}, not {' or '.join(_CAN_BE_READ)}: leave it out by `exclude`")
    found = None if source is None else source.get("file") or source.get("dev")
    return DomainDisk(name=name, format=kind, source=found)


def _read_owner(label: str) -> tuple[int, int] | None:
    """Read libvirt's "+64055:+64055"; names in it are looked up by nobody here."""
    user, _, group = label.replace("+", "").partition(":")
    return (int(user), int(group)) if user.isdigit() and group.isdigit() else None


class Papers:
    """XML files that virsh is given, private and gone afterwards."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="bkp-virsh-")

    def __enter__(self) -> Papers:
        return self

    def __exit__(self, *_: Any) -> None:
        self._folder.cleanup()

    def put(self, name: str, top: Xml.Element) -> str:
        """Write a file; return its path."""
        path = Path(self._folder.name) / name
        path.write_bytes(Xml.tostring(top))
        return str(path)
