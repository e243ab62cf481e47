"""The manual's links lead somewhere: each to a file that is there, and to a heading in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

_CHECKOUT: Final = Path(__file__).parents[3]
_DOCUMENTS: Final = sorted([*_CHECKOUT.glob("*.md"), *(_CHECKOUT / "docs").glob("*.md")])
_CODE: Final = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
_HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)


def _anchors(document: Path) -> set[str]:
    """Return what headings are called in links: small letters and digits, a hyphen for a space."""
    headings = _HEADING.findall(_CODE.sub("", document.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", _DOCUMENTS, ids=lambda each: each.name)
def test_every_link_of_the_manual_leads_to_what_is_there(document: Path) -> None:
    links = _LINK.findall(_CODE.sub("", document.read_text(encoding="utf-8")))
    lost = []
    for link in links:
        place, _, anchor = link.partition("#")
        if ":" in place:  # another site
            continue
        there = document.parent / place if place else document
        if not there.exists() or (anchor and there.suffix == ".md" and anchor not in _anchors(there)):
            lost.append(link)
    assert not lost
