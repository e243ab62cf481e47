"""Programs we run: by argument list, in a process group of their own that ends when we end, with bounded words."""

from __future__ import annotations

import ctypes
import os
import selectors
import signal
import subprocess
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Final

from backup.errors import TimedOut
from backup.runtime.signals import demand_going_on
from core.runtime.reading_right import hand_on, is_kept

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from backup.runtime.namespace import MountNamespace

_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None)
_END_SECONDS: Final = 5.0
_WORDS_BYTES: Final = 64 << 10
_PIECE_BYTES: Final = 64 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a program ended: exit code (negative: the signal), standard output, the end of what it said on stderr."""

    exit_code: int
    output: str
    words: str
    output_was_cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run. doing: what it is for, as an error says it. pass_fds: descriptors it inherits. stdin: else empty.

    hear_words: gets its standard error as `run` reads it, and b"" about every second without any; what it raises ends
    the program. namespace: in which mounts it runs; None: in ours. reads_all: it gets the right to read every file,
    where we have it.
    """

    arguments: Sequence[str]
    environment: Mapping[str, str] = field(repr=False)
    doing: str
    pass_fds: Sequence[int] = ()
    stdin: int | IO[bytes] = subprocess.DEVNULL
    hear_words: Callable[[bytes], None] | None = None
    namespace: MountNamespace | None = None
    reads_all: bool = False


class Drain:
    """What to do with the bytes of one pipe, and about every second in which no pipe brings any."""

    def __init__(self, take: Callable[[bytes], None], idle: Callable[[], None] | None = None) -> None:
        self.take, self.idle = take, idle


class _Kept:
    """The first `limit` bytes of a stream, or its last ones."""

    def __init__(self, limit: int, *, keeps_end: bool) -> None:
        self._limit, self._keeps_end = limit, keeps_end
        self._bytes = bytearray()
        self.was_cut = False

    def take(self, piece: bytes) -> None:
        self._bytes += piece
        if len(self._bytes) > self._limit:
            self.was_cut = True
            if self._keeps_end:
                del self._bytes[: -self._limit]
            else:
                del self._bytes[self._limit :]

    @property
    def text(self) -> str:
        # Output may be a list of file names, whose odd bytes must stay what they are; words go to people.
        return self._bytes.decode("utf-8", "replace" if self._keeps_end else "surrogateescape")


@contextmanager
def running(program: Program) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program with stdout and stderr as pipes; leaving the context ends its whole group, however it is left.

    When we are killed the kernel kills the program: what runs on would hold a half-made backup open. Call it from the
    main thread, whose death it is that counts. Raises OSError when the program cannot be started.
    """
    parent, reads_all = os.getpid(), program.reads_all and is_kept()

    def settle() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() != parent:  # it died between fork and prctl
            os._exit(127)
        if program.namespace is not None:
            program.namespace.enter()
        if reads_all:
            hand_on()

    child = subprocess.Popen(
        program.arguments,
        env=program.environment,
        stdin=program.stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=program.pass_fds,
        start_new_session=True,
        cwd="/",
        preexec_fn=settle,  # noqa: PLW1509 - a few system calls, no lock taken
    )
    try:
        yield child
    finally:
        end_group(child)
        for pipe in (child.stdin, child.stdout, child.stderr):
            if pipe is not None:
                with suppress(BrokenPipeError):  # what was still to be written to one that has ended
                    pipe.close()


def end_group(child: subprocess.Popen[bytes]) -> None:
    """End a program and everything it started: SIGTERM, 5 s, SIGKILL. One that has ended is only reaped."""
    _signal_group(child, signal.SIGTERM if child.poll() is None else signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        child.wait(_END_SECONDS)
    _signal_group(child, signal.SIGKILL)
    child.wait()


def _signal_group(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(child.pid, number)
    except (ProcessLookupError, PermissionError):
        return


def drain(
    pipes: Mapping[int, Drain],
    deadline: float,
    doing: str,
    at_end: Callable[[int], bool] = lambda descriptor: False,  # noqa: ARG005 - nobody wants to know
) -> None:
    """Read the pipes (by descriptor) until each is at its end. Raises TimedOut at the `deadline` (monotonic).

    at_end: told of each that is; the others are left alone as soon as it says that this is enough.
    """
    with selectors.DefaultSelector() as selector:
        for descriptor, sink in pipes.items():
            selector.register(descriptor, selectors.EVENT_READ, sink)
        while selector.get_map():
            demand_going_on()
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimedOut(f"{doing} took longer than its time limit and was ended")
            ready = selector.select(min(left, 1.0))
            for sink in pipes.values():
                if not ready and sink.idle is not None:
                    sink.idle()
            for key, _ in ready:
                piece = os.read(key.fd, _PIECE_BYTES)
                if piece:
                    key.data.take(piece)
                    continue
                selector.unregister(key.fd)
                if at_end(key.fd):
                    return


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A program and what becomes of what it writes. more: further pipes to read. started: called once it runs.

    take_output: gets all of its standard output in pieces; none of it is kept then. good: the exit codes after which
    programs beside it go on. watch: called with its process group about every second without output; it is
    killed when that returns True.
    """

    program: Program
    output_limit_bytes: int = 1 << 20
    take_output: Callable[[bytes], None] | None = None
    more: Mapping[int, Drain] = field(default_factory=dict)
    started: Callable[[], None] | None = None
    good: frozenset[int] = frozenset({0})
    watch: Callable[[int], bool] | None = None


class _Running:
    """A task under way, and how it ended."""

    def __init__(self, task: Task, child: subprocess.Popen[bytes]) -> None:
        self.task, self.child = task, child
        self._output = _Kept(task.output_limit_bytes, keeps_end=False)
        self._words = _Kept(_WORDS_BYTES, keeps_end=True)
        assert child.stdout is not None  # noqa: S101 - for the type checker: both are pipes
        assert child.stderr is not None  # noqa: S101
        self.pipes = {
            child.stdout.fileno(): Drain(task.take_output or self._output.take),
            child.stderr.fileno(): Drain(self._take_words, self._idle),
            **task.more,
        }
        self.open = set(self.pipes)
        self.ended: Ended | None = None

    def _idle(self) -> None:
        self._take_words(b"")
        if self.task.watch is not None and self.task.watch(self.child.pid):
            _signal_group(self.child, signal.SIGKILL)

    def _take_words(self, piece: bytes) -> None:
        self._words.take(piece)
        if self.task.program.hear_words is not None:
            self.task.program.hear_words(piece)

    def end(self, deadline: float) -> None:
        """Wait for its exit code, its pipes being at their end. Raises TimedOut."""
        try:
            exit_code = self.child.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired as error:
            raise TimedOut(f"{self.task.program.doing} took longer than its time limit and was ended") from error
        self.ended = Ended(
            exit_code=exit_code,
            output=self._output.text,
            words=self._words.text,
            output_was_cut=self._output.was_cut,
        )


def run_together(tasks: Sequence[Task], *, time_limit_seconds: float) -> list[Ended | None]:
    """Run programs side by side to their ends. None: it was ended because another one had ended badly.

    Raises TimedOut, OSError when one cannot be started, and what the callbacks raise; none of them runs then.
    """
    deadline = time.monotonic() + time_limit_seconds
    ran: list[_Running] = []

    def at_end(descriptor: int) -> bool:
        (each,) = (each for each in ran if descriptor in each.open)
        each.open.remove(descriptor)
        if each.open:
            return False
        each.end(deadline)
        return each.ended is not None and each.ended.exit_code not in each.task.good

    with ExitStack() as stack:
        try:
            for task in tasks:
                ran.append(_Running(task, stack.enter_context(running(task.program))))
                if task.started is not None:
                    task.started()
            pipes = {descriptor: sink for each in ran for descriptor, sink in each.pipes.items()}
            drain(pipes, deadline, tasks[0].program.doing, at_end)
        finally:
            for each in ran:  # all at once: one after the other each may take its five seconds
                if each.child.poll() is None:
                    _signal_group(each.child, signal.SIGTERM)
    return [each.ended for each in ran]


def run(
    program: Program,
    *,
    time_limit_seconds: float,
    output_limit_bytes: int = 1 << 20,
    take_output: Callable[[bytes], None] | None = None,
) -> Ended:
    """Run a program to its end, its stdin empty unless it has one.

    take_output: gets all of its standard output in pieces; none of it is kept then. Raises TimedOut (its group has
    ended then), OSError when it cannot be started, and what the callbacks raise.
    """
    task = Task(program=program, output_limit_bytes=output_limit_bytes, take_output=take_output)
    (ended,) = run_together([task], time_limit_seconds=time_limit_seconds)
    assert ended is not None  # noqa: S101 - for the type checker: there was no other one
    return ended
