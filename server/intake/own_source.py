"""The source under which a server's own records go, beside those that links bring."""

from __future__ import annotations

from typing import Final
from uuid import UUID

OWN_KEY: Final = b""
"""What they come under: no key of any link, each of which has 32 bytes."""
OWN_SOURCE: Final = UUID("b0c1f4de-6c1c-4f0e-8a37-77617463686b")
"""One for all servers of a database: only the active one has records, each reign a life of its own."""
