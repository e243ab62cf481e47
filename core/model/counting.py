"""Numbers of things in words: singular where there is one. Pure."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return a number of things, named in the singular: "1 file", "3 files", "2 entries"."""
    if number == 1:
        return f"{number} {noun}"
    is_changed = noun.endswith("y") and not noun.endswith(("ay", "ey", "oy"))
    return f"{number} {noun[:-1]}ies" if is_changed else f"{number} {noun}s"


def counted_of(number: int, things: str) -> str:
    """Return a number of things, named in the plural by a first word that ends so: "3 files read", "1 file read"."""
    if number != 1:
        return f"{number} {things}"
    words = things.split(" ")
    first = next((index for index, word in enumerate(words) if word.endswith("s")), None)
    if first is not None:
        plural = words[first]
        words[first] = f"{plural[:-3]}y" if plural.endswith("ies") else plural[:-1]
    return f"{number} {' '.join(words)}"
