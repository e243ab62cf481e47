"""What a name, a fingerprint or a share in backup.toml has to look like."""

import re
from typing import Final

from core.model.things import split_thing

_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?")
_FINGERPRINT: Final = re.compile(r"[0-9A-F]{40}")

_ADDRESS: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*")
_REMOTE: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?:(.*)", re.DOTALL)
_SHARE: Final = re.compile(r"(\d{1,3}(?:\.\d{1,3})?) ?%")
_REMOTE_PATH: Final = re.compile(r"/?[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*")


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


def check_things(texts: tuple[str, ...]) -> str | None:
    """Return what is wrong with a list of things that hold data; None when each is one."""
    for text in texts:
        try:
            split_thing(text)
        except ValueError as error:
            return f"{error}; found {text!r:.60}"
    return None


def check_address(text: str) -> str | None:
    """Return what is wrong with a server's name or address; None when it is one."""
    return None if _ADDRESS.fullmatch(text) else "expected a host name, an IPv4 or an IPv6 address"


def check_remote_path(text: str) -> str | None:
    """Return what is wrong with a folder at an SFTP server; None when it can be named in a URL as it is."""
    if ".." not in text.split("/") and _REMOTE_PATH.fullmatch(text):
        return None
    return "expected a path of letters, digits, '.', '_' and '-', without '..' or a slash at its end"


def check_remote(text: str) -> str | None:
    """Return what is wrong with a folder of a remote of rclone's; None when it can be named in a URL as it is."""
    match = _REMOTE.fullmatch(text)
    if match is None:
        return "expected NAME:FOLDER, the name being that of a remote of letters, digits, '.', '_' and '-'"
    return check_remote_path(match[1]) if match[1] else None


def parse_share(text: str) -> float:
    """Read "10%" or "0.5 %". Raises ValueError saying what was expected."""
    match = _SHARE.fullmatch(text.strip())
    share = float(match[1]) / 100 if match else 0.0
    if not 0 < share <= 1:
        raise ValueError(f'expected a share of the files, as "10%", above 0 and at most 100%; found {text!r:.60}')
    return share


def check_share(text: str) -> str | None:
    """Return what was expected of a share, None when `text` is one."""
    try:
        parse_share(text)
    except ValueError as error:
        return str(error)
    return None
