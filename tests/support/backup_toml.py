"""The smallest backup.toml of a host: one set of files at a folder beside it."""

from __future__ import annotations

from typing import Final

SMALLEST: Final = """host = "web1"
[[targets]]
name = "store"
kind = "folder"
folder = "store"
[[sets]]
name = "files"
target = "store"
paths.roots = ["/etc"]
"""
