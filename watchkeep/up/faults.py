"""Why `watchkeep up` cannot go on."""

from __future__ import annotations


class UpError(Exception):
    """Something could not start; the message names it and says what to do."""
