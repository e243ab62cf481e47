"""A manifest as text, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backup.model import Manifest


def write_manifest(manifest: Manifest) -> str:
    """Return a manifest as JSON, one line a value, ending in a newline; the same manifest gives the same text."""
    raise NotImplementedError


def read_manifest(text: str) -> Manifest:
    """Return the manifest of a text. Raises SignatureBad naming what is wrong: it was signed, but is none of ours."""
    raise NotImplementedError
