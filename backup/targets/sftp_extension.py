"""Requests OpenSSH's server knows beside SFTP's own: fsync, a rename that replaces, the room of a file system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from paramiko.sftp import CMD_EXTENDED

if TYPE_CHECKING:
    import paramiko

_UNSUPPORTED: Final = "Operation unsupported"


def extended(sftp: paramiko.SFTPClient, request: str, *arguments: Any) -> bool:
    """Ask for an extension; False when the server does not know it. Raises OSError when it fails."""
    try:
        _request(sftp, request, *arguments)
    except OSError as error:
        if error.errno is None and str(error) == _UNSUPPORTED:
            return False
        raise
    return True


def free_bytes(sftp: paramiko.SFTPClient, path: str) -> int | None:
    """Return the bytes this user may still write below `path`; None when the server does not tell."""
    try:
        answer = _request(sftp, "statvfs@openssh.com", path)
        _, fragment_bytes, _, _, available = (answer.get_int64() for _ in range(5))
    except (OSError, EOFError):
        return None
    return int(fragment_bytes * available)


def _request(sftp: paramiko.SFTPClient, request: str, *arguments: Any) -> Any:
    ask: Any = sftp._request  # type: ignore[attr-defined]  # noqa: SLF001 - the library has no public way to ask
    return ask(CMD_EXTENDED, request, *arguments)[1]
