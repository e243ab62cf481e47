"""By which id and key the server's own records are known. The key is no CURVE key: nobody else can come under it."""

from __future__ import annotations

import hashlib
from typing import Final
from uuid import UUID

OWN_NAME: Final = "watchkeep server"
OWN_KEY: Final = b""
OWN_SOURCE: Final = UUID(bytes=hashlib.sha256(OWN_NAME.encode()).digest()[:16])
PARTS_HOST: Final = "watchkeep"
"""The host whose items say how Watchkeep's own parts are. It is none that could be backed up."""
