"""Which versions are installed beside this Python.

`importlib.metadata` tells them as well; importing it was a tenth of what a run takes to start.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Final

_ENDING: Final = ".dist-info"


def installed_version(name: str) -> str:
    """Return the version of a distribution, by the name of the folder that says what is installed; else "unknown".

    name: as it is written there, without hyphens.
    """
    for folder in sys.path:
        with suppress(OSError):
            for each in os.listdir(folder or "."):  # noqa: PTH208 - of hundreds of names one is looked for
                if each.startswith(f"{name}-") and each.endswith(_ENDING):
                    return each[len(name) + 1 : -len(_ENDING)]
    return _asked(name)


def _asked(name: str) -> str:
    """Do the same for what was not installed by pip."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - as said above

    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"
