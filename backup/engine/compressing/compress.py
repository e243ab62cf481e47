"""Stands for gpg where duplicity encrypts: gpg signs, what it wrote is compressed here, and gpg encrypts that.

gpg compresses all it encrypts by zlib, which was two thirds of the processor's time of a full. Here ISA-L does it (zlib
where it is not installed), and what does not compress is left as it is. What comes out is the message gpg would have
made, by OpenPGP (RFC 4880): a signed one in a compressed data packet (5.6, its algorithm 1 is DEFLATE, RFC 1951) in an
encrypted one. gpg alone reads it.

It is a program, which `gpg` beside it runs by itself, for this alone. Whatever goes wrong, it ends with another code
than 0, and duplicity with it; its time limit is that of duplicity's process group.
"""

from __future__ import annotations

import fcntl
import os
import zlib

try:
    from isal import isal_zlib as fast

    LEVEL = 2  # of text as small as zlib's 1, in a sixth of the time; 3 is 0.6 % smaller and takes twice that
except ImportError:  # there is no build of it for this machine
    import zlib as fast  # type: ignore[no-redef]  # the same calls

    LEVEL = 1

TYPE_CHECKING = False  # typing and subprocess take longer to import than all the rest of this takes to start
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import IO, Final, Protocol

    class _Compressor(Protocol):
        def compress(self, data: bytes, /) -> bytes: ...

        def flush(self, mode: int, /) -> bytes: ...


PIECE_BYTES: Final = 1 << 20  # compressed by itself: what is shared with the piece before is worth 0.3 %
_SAMPLES, _SAMPLE_BYTES = 16, 512
_WORTH: Final = 0.95  # of a sample's size; what saves less is not compressed
_RAW: Final = -15  # DEFLATE without a header, its window the largest
_PACKET: Final = b"\xa3\x01"  # compressed data up to the end of what is around it; algorithm 1
_END: Final = b"\x03\x00"  # a last, empty block
_FAILED: Final = 2  # as gpg ends
_SIGKILL: Final = 9
_IGNORED_BY_PYTHON: Final = (13, 25)  # SIGPIPE, SIGXFSZ: what it starts would ignore them as well
_OUTPUT: Final = "/proc/self/fd/1"
_NAMED: Final = "duplicity-"
_OF_SIGNING: Final = ("--passphrase-fd", "--default-key")
_OF_ENCRYPTING: Final = ("--recipient", "--hidden-recipient")


def library_folder() -> str:
    """Return where the package of ISA-L lies, or something that does no harm to look through."""
    return os.path.dirname(os.path.dirname(getattr(fast, "__file__", "")))  # noqa: PTH120 - as below


def packed(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield a compressed data packet of what the pieces hold."""
    yield _PACKET
    for piece in pieces:
        yield _smaller(piece)
    yield _END


def _smaller(piece: bytes) -> bytes:
    """Return blocks of DEFLATE that stand for the piece, none of them the last."""
    if is_worth_compressing(piece):
        return _blocks(fast.compressobj(LEVEL, zlib.DEFLATED, _RAW), piece)
    return _blocks(zlib.compressobj(0, zlib.DEFLATED, _RAW), piece)  # ISA-L's level 0 makes noise larger


def is_worth_compressing(piece: bytes) -> bool:
    """Tell by some short samples from all over the piece."""
    step = max(1, len(piece) // _SAMPLES)
    sample = b"".join(piece[at : at + _SAMPLE_BYTES] for at in range(0, len(piece), step))
    return len(_blocks(fast.compressobj(LEVEL, zlib.DEFLATED, _RAW), sample)) < _WORTH * len(sample)


def _blocks(compressor: _Compressor, piece: bytes) -> bytes:
    return compressor.compress(piece) + compressor.flush(zlib.Z_SYNC_FLUSH)


def split(options: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the options of gpg that signs and those of gpg that encrypts, from those of one that does both."""
    signing, encrypting = ["--compress-algo=none"], ["--compress-algo=none", "--no-literal"]
    rest = iter(options)
    for option in rest:
        if option == "--sign":
            signing.append(option)
        elif option == "--encrypt":
            encrypting.append(option)
        elif option in _OF_SIGNING:
            signing += [option, next(rest)]
        elif option in _OF_ENCRYPTING:
            encrypting += [option, next(rest)]
        else:
            signing.append(option)
            encrypting.append(option)
    return signing, encrypting


def encrypt(options: Sequence[str]) -> int:
    """Sign, compress and encrypt standard input to standard output; return gpg's exit code.

    The gpg that encrypts is killed, so that its message stays a half one, unless all before it went well.
    """
    ours, others = split(options)
    passphrase = [int(ours[at + 1]) for at, option in enumerate(ours) if option == "--passphrase-fd"]
    _widen(0)
    signed, signing_to = _pipe()
    signing = _Gpg(ours, {1: signing_to})
    os.close(signing_to)
    _let_go([0, *passphrase])
    encrypting_from, sealing = _pipe()
    encrypting = _Gpg(others, {0: encrypting_from})
    os.close(encrypting_from)
    try:
        with open(signed, "rb") as message:  # noqa: PTH123 - a descriptor
            for piece in packed(_pieces(message)):
                _write(sealing, piece)
        if signing.wait() == 0:
            os.close(sealing)
            code = encrypting.wait()
            if code == 0:
                note_sum()
            return code
    except BrokenPipeError:
        pass  # it has said why
    finally:
        for each in (encrypting, signing):
            each.kill()
    return _FAILED


class _Gpg:
    """A gpg under way, which has our descriptors as its own by the numbers in `ours`."""

    def __init__(self, options: Sequence[str], ours: Mapping[int, int]) -> None:
        given = [(os.POSIX_SPAWN_DUP2, descriptor, number) for number, descriptor in ours.items()]
        self._id = os.posix_spawnp(
            "gpg", ["gpg", *options], os.environ, file_actions=given, setsigdef=_IGNORED_BY_PYTHON
        )
        self._code: int | None = None

    def wait(self) -> int:
        """Return its exit code when it has ended."""
        if self._code is None:
            self._code = os.waitstatus_to_exitcode(os.waitpid(self._id, 0)[1])
        return self._code

    def kill(self) -> None:
        """End it, unless it has ended."""
        if self._code is None:
            os.kill(self._id, _SIGKILL)
            self.wait()


def _pipe() -> tuple[int, int]:
    """Return a wide pipe: where it is read and where it is written."""
    reading, writing = os.pipe()
    _widen(writing)
    return reading, writing


def _widen(descriptor: int) -> None:
    """Let a pipe hold more, so that whoever writes goes on meanwhile and neither wakes the other for every page."""
    wanted = os.environ.get("WATCHKEEP_PIPE_BYTES")
    if wanted is None:
        return
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, int(wanted))
    except OSError:  # it is no pipe, or this user has too many wide ones
        return


def note_sum() -> None:
    """Add the SHA-256 of the file that standard output is to the list in WATCHKEEP_SEALED, a line in hex.

    Not of a volume: duplicity sums these by itself, and again would be a twentieth of a full's processor time. Its
    manifest and signatures it does not sum. It encrypts these to files that have their names already, and volumes to
    files of names without meaning.
    """
    listing = os.environ.get("WATCHKEEP_SEALED")
    name = os.readlink(_OUTPUT).rpartition("/")[2]  # noqa: PTH115 - pathlib is slow to import
    if listing is None or not name.startswith(_NAMED):
        return
    import hashlib  # noqa: PLC0415 - a tenth of what starting this takes, and most of what is encrypted are volumes

    with open(_OUTPUT, "rb") as sealed:  # noqa: PTH123 - ours is open for writing alone
        line = f"{hashlib.file_digest(sealed, 'sha256').hexdigest()}\n".encode()
    descriptor = os.open(listing, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, line)  # at once: several do it side by side
    os.close(descriptor)


def _let_go(descriptors: Iterable[int]) -> None:
    """Leave what the gpg that signs reads to it alone: when it ends, duplicity is to notice."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor in descriptors:
        os.dup2(nothing, descriptor)
    os.close(nothing)


def _pieces(stream: IO[bytes]) -> Iterator[bytes]:
    while piece := stream.read(PIECE_BYTES):
        yield piece


def _write(pipe: int, piece: bytes) -> None:
    left = memoryview(piece)
    while left:
        left = left[os.write(pipe, left) :]
