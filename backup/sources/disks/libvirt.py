"""A libvirt domain as a source: its disks as they are at one instant, from outside, while it runs or is off."""

from __future__ import annotations

import hashlib
import secrets
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from backup.errors import BackupDamaged, SourceFailed
from backup.model import instant_name
from backup.sources.contract import Prepared
from backup.sources.disks.boot_files import BOOT, save_boot_files
from backup.sources.disks.chain import disks_table, read_disks
from backup.sources.disks.domain import TPM_LOST, parse
from backup.sources.disks.domain_job import Job, Place, open_running
from backup.sources.disks.exchange import end_leftovers
from backup.sources.disks.reading_disks import laid_out
from backup.sources.disks.resting import open_resting
from backup.sources.disks.virsh import Virsh
from core.model.things import readable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from backup.settings.source import LibvirtSettings
    from backup.sources.disks.domain import Domain
    from backup.sources.disks.domain_job import Opened

DEFINITION: Final = "domain.xml"
_RECORDING: Final = "qcow2"  # the only format that keeps libvirt's checkpoints


class LibvirtSource:
    """Saves one domain: a full reads its images whole, an incremental the blocks that changed since the run before.

    What changed is known by a checkpoint that each run leaves in libvirt; the next one replaces it. Images that keep
    none (raw), and those of a domain that was off from its first run on, are read whole each time; duplicity finds what
    changed.
    """

    kind = "libvirt"

    def __init__(self, settings: LibvirtSettings) -> None:
        self._settings = settings
        self._virsh = Virsh(settings.uri)

    def doubt(self, before: Mapping[str, Any]) -> str | None:
        """Return why the chain cannot go on: another domain or other disks, a lost checkpoint."""
        domain = self._domain()
        try:
            known = {disk.name: disk for disk in read_disks(before)}
        except BackupDamaged as error:
            return str(error)
        if domain.uuid != before.get("uuid"):
            return f"domain {domain.name!r} was defined anew: its UUID is another one"
        names = {disk.name for disk in domain.disks}
        if differing := sorted(names ^ known.keys()):
            return f"disk {differing[0]} is {'new' if differing[0] in names else 'gone'}"
        moved = [disk.name for disk in domain.disks if str(disk.source) != known[disk.name].source]
        if moved:
            return f"disk {moved[0]} is another image now"
        sizes = self._virsh.sizes(domain.name)
        for name, disk in sorted(known.items()):
            if sizes.get(name, disk.size_bytes) != disk.size_bytes:
                return f"disk {name} had {disk.size_bytes} bytes and has {sizes[name]}"
        return self._doubt_checkpoint(domain, before.get("checkpoint"))

    def _doubt_checkpoint(self, domain: Domain, checkpoint: str | None) -> str | None:
        if checkpoint is None:
            return None
        if checkpoint not in self._virsh.checkpoints(domain.name):
            return f"the checkpoint {checkpoint} is lost"
        if domain.is_running:  # the size is of its bitmaps: libvirt looks whether they are there
            doing = "asking for what changed"
            options = [f"--domain={domain.name}", f"--checkpointname={checkpoint}", "--size"]
            ended = self._virsh.try_("checkpoint-dumpxml", *options, doing=doing)
            if ended.exit_code != 0:
                return f"the checkpoint {checkpoint} cannot be used: {' '.join(ended.words.split())[:200]}"
        return None

    def prepare(self, scratch: Path) -> AbstractContextManager[Prepared]:
        """Show all images whole."""
        return self._prepared(scratch, None)

    def prepare_after(self, scratch: Path, before: Mapping[str, Any]) -> AbstractContextManager[Prepared]:
        """Read what changed since the run of `before`; if that is all, the disks are given back before it is sent."""
        return self._prepared(scratch, before)

    @contextmanager
    def _prepared(self, scratch: Path, before: Mapping[str, Any] | None) -> Iterator[Prepared]:
        domain = self._domain()
        token = hashlib.sha256(str(scratch).encode()).hexdigest()[:12]
        exchange = self._settings.exchange / f"watchkeep-{token}"
        end_leftovers(self._virsh, domain.name, exchange)
        base = None if before is None else before.get("checkpoint")
        own = f"watchkeep-{token}-"
        if domain.is_running:
            self._drop_checkpoints(domain, own, base)
        known = {} if before is None else {disk.name: disk for disk in read_disks(before)}
        definition = self._virsh.definition(domain.name, is_live=False)
        (scratch / DEFINITION).write_text(definition, encoding="utf-8")
        boot = save_boot_files(scratch / BOOT, domain, parse(definition))
        known_boot = {} if before is None else before.get("boot", {})
        moved = sum(known_boot.get(name) != mtime for name, mtime in boot.items())
        moved += bool(boot) and not known_boot  # their folder
        with ExitStack() as stack:
            record: dict[str, Any] = {"domain": domain.name, "uuid": domain.uuid, "is_running": domain.is_running}
            record["firmware"] = None if domain.firmware is None else asdict(domain.firmware)
            record["not_saved"] = list(map(readable, domain.not_saved))
            place = Place(exchange=exchange, papers=scratch)
            opened, record["checkpoint"] = self._open(stack, domain, place, (base, own), set(known))
            record["taken_at"] = datetime.now(UTC).isoformat()
            disks, reading, again = stack.enter_context(laid_out(scratch, domain.disks, opened, known))
            record |= {**opened.record, "boot": boot, "disks": disks_table(disks), "read": reading}
            if all(each["how"] == "changes" for each in reading.values()):
                stack.close()  # the guest's host need not keep what is overwritten while we upload
            yield Prepared(
                root=scratch,
                consistency=record,
                covers={"domains": [readable(domain.name)], "is_whole": not self._settings.exclude},
                remarks=tuple(each for each in domain.not_saved if each == TPM_LOST),
                is_indivisible=True,
                most_changed=None if before is None else again + moved + 1,  # the definition
            )

    def _open(
        self, stack: ExitStack, domain: Domain, place: Place, names: tuple[str | None, str], known: set[str]
    ) -> tuple[Opened, str | None]:
        """Open the disks; return them with the checkpoint the next run can go on from. names: base and own prefix."""
        base, own = names
        recording = frozenset(disk.name for disk in domain.disks if disk.format == _RECORDING)
        if not domain.is_running:
            return stack.enter_context(open_resting(domain.disks, place.exchange.name, base)), base
        made = f"{own}{instant_name(datetime.now(UTC))}-{secrets.token_hex(2)}" if recording else None
        job = Job(
            base=base,
            since=recording & known if base is not None else frozenset(),
            checkpoint=made,
            marks=recording,
            place=place,
        )
        return stack.enter_context(open_running(self._virsh, domain, job)), made

    def _domain(self) -> Domain:
        domain = self._virsh.domain(self._settings.domain, self._settings.exclude)
        if not domain.disks:
            raise SourceFailed(f"domain {domain.name!r} has no disk to save")
        return domain

    def _drop_checkpoints(self, domain: Domain, own: str, base: str | None) -> None:
        """Take away the set's checkpoints that no run goes on from; their blocks count for the one before them.

        A full leaves the newest: should it fail, the chain before may go on.
        """
        names = sorted(name for name in self._virsh.checkpoints(domain.name) if name.startswith(own))
        keeping = {base} if base is not None else set(names[-1:])
        for name in names:
            if name not in keeping:
                options = [f"--domain={domain.name}", f"--checkpointname={name}"]
                doing = f"deleting the checkpoint {name}"
                if self._virsh.try_("checkpoint-delete", *options, doing=doing).exit_code != 0:  # its bitmap is lost
                    self._virsh.ask("checkpoint-delete", *options, "--metadata", doing=doing)
