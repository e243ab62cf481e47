"""Secrets of media: read from a folder of files when they are needed, kept nowhere."""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import AfterValidator

from server.media.contract import SendFailed

if TYPE_CHECKING:
    from pathlib import Path

_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_MAX_SECRET_BYTES: Final = 4096


def _check_file_name(text: str) -> str:
    if not _FILE_NAME.fullmatch(text):
        raise ValueError("expected the name of a file in the server's folder of secrets, without a path")
    return text


# A bare name: a definition, which may come over the REST API, must not make the server read any other file.
SecretFile = Annotated[str, AfterValidator(_check_file_name)]


def read_secret(folder: Path, name: str) -> str:
    """Return a secret without the line end editors add. Raises SendFailed naming file and remedy, never the content."""
    path = folder / name
    try:
        # Non-blocking: a FIFO in place of the file must not hang the server.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise SendFailed(
            f"the secret file {path} cannot be read ({error.strerror}): put it there, readable by the server only"
        ) from error
    try:
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        content = os.read(descriptor, _MAX_SECRET_BYTES + 1) if is_file else b""
    finally:
        os.close(descriptor)
    if not content.strip() or len(content) > _MAX_SECRET_BYTES:
        raise SendFailed(f"the secret file {path} has to be a file of 1 to {_MAX_SECRET_BYTES} bytes")
    try:
        return content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise SendFailed(f"the secret file {path} is not UTF-8 text") from None
