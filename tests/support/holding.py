"""A gpg that waits when a test wants it to, so that a run, a restore or a drill is in its middle however fast it is."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Final, Self

from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

ENCRYPTING: Final = "--encrypt"
DECRYPTING: Final = "--decrypt"
_WAIT_SECONDS: Final = 240.0
_OF_DUPLICITY: Final = "--no-secmem-warning"  # our own calls of gpg do without
# Who waits ends when who asked was killed, or the one above that: duplicity, where we compress in gpg's place.
_SCRIPT: Final = """#!/bin/sh
is_held() {{
    case "$*" in {among}) ;; *) return 1 ;; esac
    case "$*" in *{doing}*) ;; *) return 1 ;; esac
    {since}
}}
above() {{ cut -d ' ' -f 4 "/proc/$PPID/stat" 2>/dev/null; }}
asked=$(above)
is_wanted() {{ [ -e "/proc/$PPID/exe" ] && [ "$asked" != 1 ] && [ "$(above)" = "$asked" ]; }}
hold="{folder}/hold"
while [ -e "$hold" ] && is_wanted && is_held "$@"; do
    : >"{folder}/held"
    sleep 0.05
done
is_wanted || exit 1
exec "{gpg}" "$@"
"""


class HeldGpg:
    """A context: until it ends, or `release`, gpg waits in programs that were started with `environment`.

    `doing`: the calls of duplicity that wait, by an option of theirs; with `is_ours_too`, of whoever calls. `since`: a
    condition of the shell that has to be true as well.
    """

    def __init__(self, folder: Path, doing: str, *, since: str = "true", is_ours_too: bool = False) -> None:
        self._folder = folder / "held-gpg"
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        gpg = shutil.which("gpg")
        assert gpg is not None
        among = "*" if is_ours_too else f"*{_OF_DUPLICITY}*"
        script = self._folder / "gpg"
        script.write_text(_SCRIPT.format(folder=self._folder, gpg=gpg, doing=doing, since=since, among=among))
        script.chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"PATH": f"{self._folder}:{os.environ['PATH']}", "PYTHONUNBUFFERED": "1"}

    @property
    def is_held(self) -> bool:
        """Whether a gpg has waited, or waits."""
        return (self._folder / "held").exists()

    def wait(self, what: str) -> None:
        wait_until(lambda: self.is_held, _WAIT_SECONDS, what)

    def release(self) -> None:
        (self._folder / "hold").unlink(missing_ok=True)

    def __enter__(self) -> Self:
        (self._folder / "hold").touch()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def more_files(folder: Path, pattern: str, than: int = 0) -> str:
    """Return the condition that more files of such names lie below a folder."""
    return f'[ "$(find "{folder}" -name "{pattern}" 2>/dev/null | wc -l)" -gt {than} ]'


def a_newer_file(folder: Path, pattern: str) -> str:
    """Return the condition that a file of such a name lies below a folder that came since the context began."""
    return f'[ -n "$(find "{folder}" -name "{pattern}" -newer "$hold" 2>/dev/null)" ]'
