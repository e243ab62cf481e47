"""The manual's list of probes says what the declarations say."""

from __future__ import annotations

from pathlib import Path

import pytest

from probes.reference import reference, renew

PAGE = Path(__file__).parents[3] / "docs/probes.md"


def test_the_manuals_list_of_probes_is_the_one_the_declarations_make() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == renew(page), "run: python -m probes.reference docs/probes.md"


def test_each_probe_has_its_parameters_with_defaults_and_its_items_with_units() -> None:
    text = reference()
    assert '| `timeout` | a duration such as "10s", "5m" or "1h" | `"10s"` | time it has to answer |' in text
    assert "| `host` | a text that is not empty | required | name or address of the machine |" in text
    assert "| `disk.wait[disk]` | `s` | Mean time of a read or write, waiting included |" in text
    assert "| `log.line[log]` | text |" in text


def test_a_page_without_its_marks_is_not_touched() -> None:
    with pytest.raises(ValueError, match="the page needs the lines"):
        renew("# Probes\n")
