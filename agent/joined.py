"""The folder of a machine that joins: what it asked, and the configuration it runs by once it was let in."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

from core.security.enrolment import Newcomer, write_request
from core.security.keys import key_text
from core.wire.curve import load_or_create

if TYPE_CHECKING:
    from pathlib import Path

    from core.security.enrolment import Admission

CONFIGURATION: Final = "agent.toml"
_ASKED: Final = "joining.json"
_KEY: Final = "key"


class FolderFault(Exception):
    """The folder cannot be used; the text says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was, or shall be, asked: kept on disk before it is sent, so that a lost answer can be asked for again."""

    newcomer: Newcomer
    text: str


def configuration_of(folder: Path) -> Path | None:
    """Return the configuration of a folder that has joined; None of one that has not."""
    path = folder / CONFIGURATION
    return path if path.exists() else None


def prepare(folder: Path, *, name: str, token: str | None, software: str) -> Asked:
    """Make key and source id, or take those that are there, and the request to send.

    The request is the one that was prepared before when it was for the same name and token: the server knows it again
    and repeats its answer. Raises FolderFault, KeyFault.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        before = _read(folder / _ASKED)
        key = load_or_create(folder / _KEY).public
        source = UUID(before["source"]) if "source" in before else uuid4()
        newcomer = Newcomer(name=name, key=key, source=source, software=software)
        text = before.get("text")
        if not isinstance(text, str) or (before.get("name"), before.get("token"), before.get("key")) != (
            name,
            token,
            key.hex(),
        ):
            text = write_request(newcomer)
            asked = {"name": name, "token": token, "key": key.hex(), "source": str(source), "text": text}
            _write(folder / _ASKED, json.dumps(asked))
    except OSError as error:
        raise FolderFault(f"{folder} cannot be used ({error.strerror}): choose another with --data") from error
    except ValueError as error:
        raise FolderFault(f"{folder / _ASKED} is damaged ({error}): remove it and join again") from error
    return Asked(newcomer=newcomer, text=text)


def settle(folder: Path, admission: Admission, host: str) -> Path:
    """Write the configuration, whole or not at all, and return its path; `host` stands where an endpoint says `*`.

    Raises FolderFault.
    """
    address = f"[{host}]" if ":" in host else host
    lines = [
        "# Written by `watchkeep-agent join`; what `watchkeep-agent --sample` lists may be added.",
        f"name = {_toml(admission.name)}",
        f"source = {_toml(str(admission.source))}",
        f"data = {_toml(str(folder))}",
        f"key_file = {_toml(str(folder / _KEY))}",
    ]
    for way in admission.ways:
        endpoint = way.endpoint.replace("tcp://*:", f"tcp://{address}:", 1)
        lines += ["", "[[upstreams]]", f"endpoint = {_toml(endpoint)}", f"key = {_toml(key_text(way.key))}"]
    try:
        _write(folder / CONFIGURATION, "\n".join(lines) + "\n")
        (folder / _ASKED).unlink(missing_ok=True)
    except OSError as error:
        raise FolderFault(f"{folder} cannot be written ({error.strerror}): make room, then join again") from error
    return folder / CONFIGURATION


def _toml(text: str) -> str:
    # A JSON string is a TOML basic string once DEL, which JSON leaves as it is, is escaped.
    return json.dumps(text, ensure_ascii=True).replace("\x7f", "\\u007f")


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    if not isinstance(found, dict):
        raise ValueError("expected a map")  # noqa: TRY004 - damage like any other, told the same way
    return found


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
