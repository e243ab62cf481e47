"""Who calls a command, for the history of definitions and for the audit log."""

from __future__ import annotations

import getpass
import os


def author_name() -> str:
    """Return who runs the command, by the operating system's name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user id without a name
        return f"user {os.getuid()}"


def actor_name(command: str) -> str:
    """Return the audit log's actor of a command: which one, and by whom it was run."""
    return f"watchkeep {command} ({author_name()})"
