"""A manifest as text, and back."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any, Final

from backup.errors import SignatureBad
from backup.model import Counts, Kind, Manifest, Role, VolumeRecord, instant_name, read_instant

FORM: Final = "watchkeep-backup-1"
FORM_OF_PARTS: Final = "watchkeep-backup-2"
"""The form of manifests of sets that are saved side by side: whoever does not know of parts refuses them."""

_NAME: Final = re.compile(r"(?:part-(?:[1-9]|1[0-6])/)?duplicity-[^/]*")
_MOST_NAME_BYTES: Final = 255
"""Of a file's name without its part: no file system has longer ones, and duplicity's are far shorter."""


def write_manifest(manifest: Manifest) -> str:
    """Return a manifest as JSON, ending in a newline; the same manifest gives the same text."""
    table: dict[str, Any] = {
        "form": FORM_OF_PARTS if any(manifest.parts) else FORM,
        "host": manifest.host,
        "set": manifest.set,
        "due_at": manifest.due_at.isoformat(),
        "at": instant_name(manifest.at),
        "finished_at": manifest.finished_at.isoformat(),
        "kind": manifest.kind.value,
        "reason": manifest.reason,
        "chain": manifest.chain,
        "position": manifest.position,
        "previous": manifest.previous,
        "source": manifest.source,
        "recipients": list(manifest.recipients),
        "signer": manifest.signer,
        "counts": {
            "entries": manifest.counts.entries,
            "bytes": manifest.counts.bytes,
            "changed_bytes": manifest.counts.changed_bytes,
            "unreadable": manifest.counts.unreadable,
            "unreadable_names": list(manifest.counts.unreadable_names),
        },
        "consistency": dict(manifest.consistency),
        "software": dict(manifest.software),
        "volumes": [
            {
                "name": volume.name,
                "part": volume.role.value,
                "size_bytes": volume.size_bytes,
                "sha256": volume.sha256,
                "sha1": volume.sha1,
            }
            for volume in manifest.volumes
        ],
    }
    return json.dumps(table, indent=1, ensure_ascii=True) + "\n"


def read_manifest(text: str) -> Manifest:
    """Return the manifest of a text. Raises SignatureBad naming what is wrong: it was signed, but is none of ours."""
    try:
        table = json.loads(text)
        if table["form"] not in (FORM, FORM_OF_PARTS):
            raise SignatureBad(f"its form is {table['form']!r}, not {FORM!r}; is it of a newer Watchkeep?")
        return _read(table)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise SignatureBad(f"it is no manifest: {type(error).__name__} {error}") from error


def _read(table: dict[str, Any]) -> Manifest:
    counts = table["counts"]
    previous = table["previous"]
    return Manifest(
        host=str(table["host"]),
        set=str(table["set"]),
        due_at=_instant(table["due_at"]),
        at=read_instant(table["at"]),
        finished_at=_instant(table["finished_at"]),
        kind=Kind(table["kind"]),
        reason=str(table["reason"]),
        chain=instant_name(read_instant(table["chain"])),  # it becomes part of a path: nothing but an instant
        position=int(table["position"]),
        previous=None if previous is None else _bounded(str(previous)),
        source=str(table["source"]),
        recipients=tuple(str(each) for each in table["recipients"]),
        signer=str(table["signer"]),
        counts=Counts(
            entries=int(counts["entries"]),
            bytes=int(counts["bytes"]),
            changed_bytes=int(counts["changed_bytes"]),
            unreadable=int(counts["unreadable"]),
            unreadable_names=tuple(str(name) for name in counts["unreadable_names"]),
        ),
        consistency=dict(table["consistency"]),
        software={str(name): str(version) for name, version in table["software"].items()},
        volumes=tuple(_read_volume(volume) for volume in table["volumes"]),
    )


def _read_volume(table: dict[str, Any]) -> VolumeRecord:
    name = str(table["name"])
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name[:_MOST_NAME_BYTES]!r} is no file of duplicity's")
    _bounded(name.rpartition("/")[2])
    return VolumeRecord(
        name=name,
        role=Role(table["part"]),
        size_bytes=int(table["size_bytes"]),
        sha256=str(table["sha256"]),
        sha1=None if table["sha1"] is None else str(table["sha1"]),
    )


def _bounded(name: str) -> str:
    size = len(name.encode())
    if size > _MOST_NAME_BYTES:
        raise ValueError(f"the name {name[:40]!r}… has {size} bytes, more than {_MOST_NAME_BYTES}")
    return name


def _instant(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return at.astimezone(UTC)
