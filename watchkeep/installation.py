"""An installation's data folder: where everything of one Watchkeep on this machine lies."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

DATA_VARIABLE: Final = "WATCHKEEP_DATA"
DEFAULT_DATA: Final = Path("var")
TAIL: Final = "tail"
"""The part that listens to the live feed for people."""
FIRST_PASSWORD: Final = "admin-password"  # noqa: S105 # a file's name


class InstallationError(Exception):
    """There is no usable installation in the folder; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """How to reach a running installation: written by whoever starts the database, read by every command.

    `dsn` holds the database password, so the file is readable by its owner only.
    """

    dsn: str
    url: str
    server: str

    def write(self, data: Path) -> None:
        """Write it into `data` in one step, so that a reader never sees half of it."""
        write_private(data / "installation.json", json.dumps(asdict(self), indent=1) + "\n")


def data_folder(chosen: Path | None = None) -> Path:
    """Return the folder chosen by option, else by WATCHKEEP_DATA, else ./var; absolute."""
    return (chosen or Path(os.environ.get(DATA_VARIABLE) or DEFAULT_DATA)).absolute()


def find_installation(chosen: Path | None = None) -> Installation:
    """Read the installation of a data folder. Raises InstallationError naming the folder and the remedy."""
    folder = data_folder(chosen)
    path = folder / "installation.json"
    try:
        found = json.loads(path.read_text())
        return Installation(dsn=found["dsn"], url=found["url"], server=found["server"])
    except FileNotFoundError as error:
        raise InstallationError(
            f"no installation in {folder}: start one with `watchkeep up`, "
            f"or name its folder with --data or {DATA_VARIABLE}"
        ) from error
    except PermissionError as error:
        raise InstallationError(
            f"{path} may not be read by this user: run the command as the user who started it"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise InstallationError(
            f"{path} is damaged ({error}): start `watchkeep up` again, which writes it anew"
        ) from error


def write_private(path: Path, text: str) -> None:
    """Write a file only its owner may read, in one step."""
    draft = path.with_suffix(path.suffix + ".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
