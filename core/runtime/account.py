"""Which unprivileged account a child program runs under when we are root, and by what prefix of its command.

A program such as PostgreSQL refuses to be root. With `setpriv` it becomes another account; where that account cannot
reach the program or its folder (a checkout or an interpreter in /root), a user namespace shows the program another
user id while its files stay root's own: `unshare --user --map-user`. Both were tried with PostgreSQL 18.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_PROBE_TIMEOUT_SECONDS = 10.0
_LAST_RESORT_UID = 65534


class NoAccountError(Exception):
    """No way to run a program unprivileged on this machine; the message says what was tried and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """How to run a child unprivileged.

    Put `prefix` before the child's arguments (it replaces itself, so the process id is the child's own). The child sees
    itself as `uid`; its files on disk belong to `file_uid` and `file_gid`, which differ from it inside a namespace.
    """

    uid: int
    prefix: tuple[str, ...]
    file_uid: int
    file_gid: int


def setpriv_prefix(uid: int, gid: int) -> tuple[str, ...]:
    """Return the prefix that becomes another account and drops every privilege."""
    return ("setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--inh-caps=-all", "--no-new-privs", "--")


def namespace_prefix(uid: int, gid: int) -> tuple[str, ...]:
    """Return the prefix that shows the child another user and group and keeps no capability outside its namespace.

    A group without a name in there could not even be given to the child's own files (duplicity does that).
    """
    return ("unshare", "--user", f"--map-user={uid}", f"--map-group={gid}", "--")


def choose_owner(*, folder_owner: int | None, sudo_uid: str | None, nobody_uid: int) -> int:
    """Return the user id that shall own the data: the folder's owner, who called sudo, nobody; never root."""
    if folder_owner:
        return folder_owner
    if sudo_uid is not None and sudo_uid.isascii() and sudo_uid.isdigit() and int(sudo_uid) > 0:
        return int(sudo_uid)
    return nobody_uid


def choose_account(
    *, own_uid: int, own_gid: int, owner: tuple[int, int], can_run: Callable[[tuple[str, ...]], bool]
) -> Account:
    """Decide how to run a child for the data's owner (uid, gid).

    Not root: as we are. Root: as the owner when `can_run(prefix)` says that it reaches everything, else in a namespace.
    Raises NoAccountError when neither works.
    """
    if own_uid != 0:
        return Account(uid=own_uid, prefix=(), file_uid=own_uid, file_gid=own_gid)
    uid, gid = owner
    prefix = setpriv_prefix(uid, gid)
    if can_run(prefix):
        return Account(uid=uid, prefix=prefix, file_uid=uid, file_gid=gid)
    prefix = namespace_prefix(uid, gid)
    if can_run(prefix):
        return Account(uid=uid, prefix=prefix, file_uid=own_uid, file_gid=own_gid)
    raise NoAccountError(
        f"user {uid} cannot reach the programs or the data, and user namespaces are not allowed here: start it as a "
        "normal user, or move checkout, interpreter and data to folders that every user may enter"
    )


def account_for(folder: Path, programs: Sequence[Path]) -> Account:
    """Choose the account for children that run `programs` and own `folder` (which need not exist yet).

    Blocks for some milliseconds: what the account can reach is tried, not computed, so that access lists count too.
    Raises NoAccountError.
    """
    own_uid, own_gid = os.geteuid(), os.getegid()
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    folder_owner = folder.stat().st_uid if folder.exists() else None
    uid = choose_owner(folder_owner=folder_owner, sudo_uid=os.environ.get("SUDO_UID"), nobody_uid=_nobody())
    # The folder itself is handed to the account afterwards, so only the way to it has to be open.
    gate = existing.absolute().parent if existing == folder else existing
    reached = [path.absolute() for path in (gate, *programs)]
    return choose_account(
        own_uid=own_uid, own_gid=own_gid, owner=(uid, _group_of(uid)), can_run=lambda prefix: _reaches(prefix, reached)
    )


def hand_over(folder: Path, account: Account) -> None:
    """Make the tree below `folder` the account's own on disk, when it is not yet; links are not followed."""
    if os.geteuid() != 0:
        return
    for parent, folders, files in os.walk(folder):
        for path in (parent, *(os.path.join(parent, name) for name in (*folders, *files))):  # noqa: PTH118 - os.walk's
            with suppress(FileNotFoundError):  # children of a server that was killed are still tidying up
                state = os.lstat(path)
                if (state.st_uid, state.st_gid) != (account.file_uid, account.file_gid):
                    os.chown(path, account.file_uid, account.file_gid, follow_symlinks=False)


def _reaches(prefix: tuple[str, ...], paths: Sequence[Path]) -> bool:
    try:
        return all(
            subprocess.run(
                [*prefix, "test", "-x", str(path)],
                check=False,
                timeout=_PROBE_TIMEOUT_SECONDS,
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
            ).returncode
            == 0
            for path in paths
        )
    except (OSError, subprocess.TimeoutExpired):
        return False


def _nobody() -> int:
    try:
        return pwd.getpwnam("nobody").pw_uid
    except KeyError:
        return _LAST_RESORT_UID


def _group_of(uid: int) -> int:
    try:
        return pwd.getpwuid(uid).pw_gid
    except KeyError:
        return uid
