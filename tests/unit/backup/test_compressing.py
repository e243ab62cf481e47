from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isal import isal_zlib

from backup.engine.compressing import compress

if TYPE_CHECKING:
    from pathlib import Path

_TEXT = b"all work and no play makes a backup dull; " * 30_000
_NOISE = os.urandom(len(_TEXT))
_LIMIT_SECONDS = 120.0


@pytest.fixture(params=[isal_zlib, zlib], ids=["isal", "zlib"])
def _fast(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compress, "fast", request.param)
    monkeypatch.setattr(compress, "LEVEL", 2 if request.param is isal_zlib else 1)


def _unpacked(packet: bytes) -> bytes:
    """What is in a compressed data packet, by another program's reading of DEFLATE."""
    assert packet[:2] == bytes((0x80 | 8 << 2 | 3, 1))  # RFC 4880, 4.2.1: tag 8, up to the end; 9.3: ZIP
    inflating = zlib.decompressobj(-15)
    found = inflating.decompress(packet[2:])
    assert (inflating.eof, inflating.unused_data) == (True, b"")
    return found


def _packed(*pieces: bytes) -> bytes:
    return b"".join(compress.packed(iter(pieces)))


@pytest.mark.usefixtures("_fast")
def test_text_shrinks_noise_stays_and_both_come_back() -> None:
    packet = _packed(_TEXT, _NOISE, _TEXT[:1000], b"x", _NOISE[:1000])
    assert _unpacked(packet) == _TEXT + _NOISE + _TEXT[:1000] + b"x" + _NOISE[:1000]
    assert len(_packed(_TEXT)) < len(_TEXT) / 20
    assert len(_packed(_NOISE)) < len(_NOISE) * 1.001
    assert _unpacked(_packed()) == b""


@given(st.lists(st.binary(min_size=1, max_size=3000) | st.sampled_from([_TEXT, _NOISE]), max_size=6))
def test_whatever_is_packed_comes_back(pieces: list[bytes]) -> None:
    assert _unpacked(_packed(*pieces)) == b"".join(pieces)


def test_noise_is_not_compressed_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    compressed = 0

    def counting(*arguments: Any) -> Any:
        def compressing(piece: bytes) -> bytes:
            nonlocal compressed
            compressed += len(piece)
            return real.compress(piece)

        real = zlib.compressobj(*arguments)
        return _Compressor(compressing, real.flush)

    monkeypatch.setattr(compress, "fast", _Library(counting))
    _packed(_NOISE)
    assert 0 < compressed < len(_NOISE) / 20
    _packed(_TEXT)
    assert compressed > len(_TEXT)


class _Library:
    def __init__(self, compressobj: Any) -> None:
        self.compressobj = compressobj


class _Compressor:
    def __init__(self, compress: Any, flush: Any) -> None:
        self.compress, self.flush = compress, flush


def test_who_signs_gets_the_passphrase_and_who_encrypts_the_recipients() -> None:
    signing, encrypting = compress.split(
        [
            "--passphrase-fd",
            "7",
            "--default-key",
            "A",
            "--recipient",
            "B",
            "--recipient",
            "C",
            "--quiet",
            "--trust-model",
            "always",
            "--sign",
            "--encrypt",
        ]
    )
    both = ["--quiet", "--trust-model", "always"]
    assert signing == ["--compress-algo=none", "--passphrase-fd", "7", "--default-key", "A", *both, "--sign"]
    assert encrypting == [
        "--compress-algo=none",
        "--no-literal",
        "--recipient",
        "B",
        "--recipient",
        "C",
        *both,
        "--encrypt",
    ]


@pytest.mark.parametrize(
    ("name", "is_summed"), [("duplicity-full.20261121T041600Z.manifest.gpg", True), ("mktemp-x_1-2", False)]
)
def test_lists_are_summed_by_their_names_and_volumes_are_not(tmp_path: Path, name: str, *, is_summed: bool) -> None:
    listing, sealed = tmp_path / "sealed", tmp_path / name
    with sealed.open("wb") as file:
        file.write(_TEXT)
        file.flush()
        subprocess.run(
            [sys.executable, "-c", "from backup.engine.compressing.compress import note_sum; note_sum()"],
            stdout=file, env=os.environ | {"WATCHKEEP_SEALED": str(listing)}, check=True, timeout=_LIMIT_SECONDS,
        )  # fmt: skip
    assert listing.exists() == is_summed
    if is_summed:
        assert listing.read_text() == f"{hashlib.sha256(_TEXT).hexdigest()}\n"
