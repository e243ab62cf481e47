"""What a name or a fingerprint in backup.toml has to look like."""

import re
from typing import Final

_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?")
_FINGERPRINT: Final = re.compile(r"[0-9A-F]{40}")


def check_name(text: str) -> str | None:
    """Return what is wrong with a name that becomes a folder at the target; None when it is one."""
    return (
        None
        if _NAME.fullmatch(text)
        else "expected 1 to 128 letters, digits, '.', '_' or '-', a letter or digit first and last"
    )


def check_fingerprints(texts: tuple[str, ...]) -> str | None:
    """Return what is wrong with a list of key fingerprints; None when each is one."""
    wrong = [text for text in texts if not _FINGERPRINT.fullmatch(text)]
    return f"expected fingerprints of 40 capital hex digits, found {wrong[0]!r}" if wrong else None
