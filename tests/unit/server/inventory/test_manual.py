from __future__ import annotations

from pathlib import Path

import pytest

from server.inventory.apply import check_documents, shipped_documents
from server.inventory.catalogue import shipped_catalogue
from server.inventory.check import check_references
from server.inventory.polling import check_polling
from server.inventory.yaml import read_yaml

DOCS = Path(__file__).parents[4] / "docs"


@pytest.mark.parametrize(
    ("name", "count"),
    [("definitions.md", 7), ("webhooks.md", 1), ("escalation.md", 3), ("probes.md", 6), ("polling.md", 4)],
)
def test_the_manuals_examples_are_accepted(name: str, count: int) -> None:
    documents = shipped_documents()
    shipped = len(documents)
    for part in (DOCS / name).read_text().split("```yaml\n")[1:]:
        found, faults = read_yaml(part.split("```")[0], name)
        assert faults == []
        documents += found
    assert len(documents) == shipped + count
    checked = check_documents(documents)
    assert checked.faults == []
    assert check_references(checked.bodies(), checked.documents) == []
    assert check_polling(checked.bodies(), checked.documents, shipped_catalogue()) == []
