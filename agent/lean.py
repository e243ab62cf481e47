"""Keeps the agent small: to be imported before asyncio.

asyncio imports `ssl` where there is one, and with it OpenSSL: 4 MiB of an agent that speaks CURVE only. A None in
sys.modules makes that import fail, which asyncio takes to mean a Python without OpenSSL.
"""

from __future__ import annotations

import sys

if "asyncio" not in sys.modules:
    sys.modules["ssl"] = None  # type: ignore[assignment]  # documented: a None there stops the import
