"""What a spool says when it cannot do as asked."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_REMEDIES = {
    errno.ENOSPC: "free space on its file system; appending goes on by itself as soon as there is room",
    errno.EDQUOT: "raise the quota or free space; appending goes on by itself as soon as there is room",
    errno.EFBIG: "raise the process's file size limit (ulimit -f)",
    errno.EIO: "the disk fails: see the kernel's log, replace it or move the folder to another one",
    errno.EROFS: "the file system is read-only: see the kernel's log and remount it writable",
    errno.EACCES: "give the folder to the user who runs this process, mode 0700",
    errno.EPERM: "give the folder to the user who runs this process, mode 0700",
    errno.EMFILE: "raise the process's limit of open files (ulimit -n)",
    errno.ENOENT: "somebody deleted the folder or a file in it: leave both alone, make the folder again if it is gone",
}


class SpoolFull(Exception):
    """The spool holds as much as it may; nothing was appended."""


class SpoolFault(Exception):
    """The operating system refused; the message names the folder and says what to do.

    What was appended before is untouched.
    """

    @classmethod
    def during(cls, action: str, folder: Path, error: OSError) -> SpoolFault:
        """Say that `action` failed in `folder`, and the remedy that fits the error; the caller chains it."""
        remedy = _REMEDIES.get(error.errno or 0, "see the kernel's log")
        return cls(f"cannot {action} in the spool {folder}: {error.strerror or error}; {remedy}")
