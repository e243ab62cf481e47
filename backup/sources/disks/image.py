"""Image files of QEMU as a source, while nobody has them open for writing."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from backup.errors import BackupDamaged, SourceFailed
from backup.sources.contract import Prepared
from backup.sources.disks.chain import disks_table, is_disk_name, read_disks
from backup.sources.disks.domain import DomainDisk
from backup.sources.disks.reading_disks import laid_out
from backup.sources.disks.resting import image_facts, open_resting
from core.model.things import readable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from backup.settings.source import ImageSettings


class ImageSource:
    """Saves image files as what a guest would read of them, backing files included; duplicity finds what changed.

    QEMU's own locks decide: an image that is in use fails the run, and none can be opened for writing while it is read.
    """

    kind = "image"

    def __init__(self, settings: ImageSettings) -> None:
        self._settings = settings

    def doubt(self, before: Mapping[str, Any]) -> str | None:
        """Return why a chain cannot go on: other images than before."""
        try:
            known = {disk.name: (disk.source, disk.size_bytes) for disk in read_disks(before)}
        except BackupDamaged as error:
            return str(error)
        now = {disk.name: (str(disk.source), int(image_facts(disk)["virtual-size"])) for disk in self._images()}
        differing = sorted(name for name in {*known, *now} if known.get(name) != now.get(name))
        return f"image {differing[0]} is new, gone, or another one" if differing else None

    def prepare(self, scratch: Path) -> AbstractContextManager[Prepared]:
        """Show all images whole. Raises SourceFailed when one is in use."""
        return self._prepared(scratch, None)

    def prepare_after(self, scratch: Path, before: Mapping[str, Any]) -> AbstractContextManager[Prepared]:
        """Show all images whole, as in `prepare`."""
        return self._prepared(scratch, before)

    @contextmanager
    def _prepared(self, scratch: Path, before: Mapping[str, Any] | None) -> Iterator[Prepared]:
        token = hashlib.sha256(str(scratch).encode()).hexdigest()[:12]
        images = self._images()
        known = {} if before is None else {disk.name: disk for disk in read_disks(before)}
        with ExitStack() as stack:
            opened = stack.enter_context(open_resting(images, token, None))
            taken_at = datetime.now(UTC).isoformat()
            disks, reading, again = stack.enter_context(laid_out(scratch, images, opened, known))
            yield Prepared(
                root=scratch,
                consistency={"taken_at": taken_at, "disks": disks_table(disks), "read": reading},
                covers={"images": [readable(str(file)) for file in self._settings.files]},
                is_indivisible=True,
                most_changed=None if before is None else again,
            )

    def _images(self) -> list[DomainDisk]:
        found = []
        for file in self._settings.files:
            name = file.stem.replace(".", "-")
            if not is_disk_name(name):
                raise SourceFailed(f"{file} has a name that cannot be kept: letters, digits, '-', '_' and '.' can")
            if not file.exists():
                raise SourceFailed(f"{file} is not there; correct the set's files")
            found.append(DomainDisk(name=name, format=self._settings.format, source=str(file)))
        names = [image.name for image in found]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise SourceFailed(f"two images would be called {twice[0]}: give each a set of its own")
        return found
