"""A mount namespace of a run's own: what is mounted in it nobody else sees, and it is gone with the run.

The kernel takes it away with the last process in it, so a run that is killed leaves no mount behind, and no mount of
ours is ever where this process empties folders.
"""

from __future__ import annotations

import ctypes
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Self, TypeVar

from backup.errors import SourceFailed

if TYPE_CHECKING:
    from collections.abc import Callable

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_CLONE_FS: Final = 0x200
_CLONE_NEWNS: Final = 0x20000
_MS_REC: Final = 1 << 14
_MS_SLAVE: Final = 1 << 19
Answer = TypeVar("Answer")


class MountNamespace:
    """A context; what is mounted outside meanwhile appears here as well, what is unmounted there goes here as well.

    Threads and programs enter it; this process stays where it is.
    """

    def __init__(self) -> None:
        """Make it. Raises SourceFailed when this process may not."""
        try:
            self._itself, self._top = _in_a_thread(_make)
        except OSError as error:
            raise SourceFailed(f"a mount namespace cannot be made ({error.strerror}): snapshots need root") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._top)
        os.close(self._itself)

    def enter(self) -> None:
        """Bring in a program that is about to start, or a thread with a root of its own. Raises OSError."""
        _demand(_LIBC.setns(self._itself, _CLONE_NEWNS))
        os.fchdir(self._top)  # the kernel puts us at the namespace's own top, which is not ours after a chroot
        os.chroot(".")

    def within(self, act: Callable[[], Answer]) -> Answer:
        """Return what `act` returns in the namespace, or raise what it raises. It has to be short: nothing ends it."""

        def enter_and_act() -> Answer:
            _demand(_LIBC.unshare(_CLONE_FS))
            self.enter()
            return act()

        return _in_a_thread(enter_and_act)


def _in_a_thread(act: Callable[[], Answer]) -> Answer:
    with ThreadPoolExecutor(1, thread_name_prefix="mounts") as thread:
        return thread.submit(act).result()


def _make() -> tuple[int, int]:
    _demand(_LIBC.unshare(_CLONE_NEWNS))
    _demand(_LIBC.mount(None, b"/", None, ctypes.c_ulong(_MS_REC | _MS_SLAVE), None))
    itself = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    return itself, os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _demand(answer: int) -> None:
    if answer != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
