"""What the backup benchmark saves: a tree like a server's, or a disk's image; the same bytes at every call."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Final

import numpy as np

CHANGED_SHARE: Final = 0.02
INCOMPRESSIBLE_SHARE: Final = 0.4
IMAGE: Final = "disk.img"
DUMP: Final = "database.sql"
CHANGED_ROWS: Final = 4  # of a dump, in each MiB
_SIZES: Final = (2_000, 20_000, 200_000, 2_000_000, 20_000_000)
_PAGE: Final = 4096
_WORDS: Final = 5000


def make_files(data: Path, mib: int) -> Path:
    """Write a tree of about `mib` MiB, files of 2 kB to 20 MB in folders of fifty; return a middle-sized one."""
    random = np.random.default_rng(7)
    words = _words(random)
    left, number, chosen = mib << 20, 0, data
    while left > 0:
        size = min(left, _SIZES[number % len(_SIZES)])
        path = data / f"{number // 50:03}" / f"{number:05}"
        path.parent.mkdir(parents=True, exist_ok=True)
        is_random = (number // len(_SIZES)) % 5 < INCOMPRESSIBLE_SHARE * 5
        path.write_bytes(random.bytes(size) if is_random else _text(random, words, size))
        if size == _SIZES[2]:
            chosen = path
        left, number = left - size, number + 1
    return chosen


def make_image(data: Path, mib: int) -> Path:
    """Write one image of `mib` MiB of text and noise; return it."""
    random = np.random.default_rng(7)
    words = _words(random)
    data.mkdir()
    image = data / IMAGE
    with image.open("wb") as file:
        for turn in range(mib):
            file.write(random.bytes(1 << 20) if turn % 5 < INCOMPRESSIBLE_SHARE * 5 else _text(random, words, 1 << 20))
    return image


def make_dump(data: Path, mib: int) -> Path:
    """Write one file of `mib` MiB of text, as a database is dumped; return it."""
    random = np.random.default_rng(7)
    words = _words(random)
    data.mkdir()
    dump = data / DUMP
    with dump.open("wb") as file:
        for _ in range(mib):
            file.write(_text(random, words, 1 << 20))
    return dump


def change(data: Path) -> None:
    """Change 2 %: scattered pages of an image, or whole files and the ends of others, and new ones; rows of a dump."""
    random = np.random.default_rng(11)
    if (data / DUMP).exists():
        _change_dump(data / DUMP, random)
        return
    image = data / IMAGE
    if image.exists():
        pages = image.stat().st_size // _PAGE
        with image.open("r+b") as file:
            for page in random.choice(pages, max(1, int(pages * CHANGED_SHARE)), replace=False).tolist():
                file.seek(page * _PAGE)
                file.write(random.bytes(_PAGE))
        return
    words = _words(np.random.default_rng(7))
    files = sorted(path for path in data.rglob("*") if path.is_file())
    left = int(sum(path.stat().st_size for path in files) * CHANGED_SHARE)
    for path in random.permutation(np.array(files, dtype=object)).tolist():
        if left <= 0:
            break
        size = min(path.stat().st_size, left)
        with Path(path).open("r+b") as file:
            file.write(_text(random, words, size))
        left -= size
    (data / "new").write_bytes(_text(random, words, 100_000))


def _change_dump(dump: Path, random: np.random.Generator) -> None:
    """Let some rows all over it be longer, so that what follows is at another place, and append a hundredth."""
    words, changed = _words(np.random.default_rng(7)), dump.with_suffix(".new")
    with dump.open("rb") as before, changed.open("wb") as after:
        count = 0
        while piece := before.read(1 << 20):
            count += 1
            cuts = [0, *sorted(random.choice(len(piece), CHANGED_ROWS, replace=False).tolist()), len(piece)]
            after.write(b"; changed; ".join(piece[begin:end] for begin, end in itertools.pairwise(cuts)))
        for _ in range(max(1, count // 100)):
            after.write(_text(random, words, 1 << 20))
    changed.replace(dump)


def _words(random: np.random.Generator) -> list[bytes]:
    letters = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz", np.uint8)
    return [bytes(random.choice(letters, random.integers(2, 11))) for _ in range(_WORDS)]


def _text(random: np.random.Generator, words: list[bytes], size: int) -> bytes:
    """Return words as often as natural ones are, separated by blanks; compresses to about a third."""
    count = size // 4 + 1
    ranks = np.minimum(_WORDS ** random.random(count), _WORDS - 1).astype(np.int64)  # how often goes by 1 / rank
    return b" ".join([words[rank] for rank in ranks.tolist()])[:size].ljust(size)
