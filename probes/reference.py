"""Writes the manual's list of probes from their declarations: `python -m probes.reference docs/probes.md`."""

from __future__ import annotations

import sys
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from core.config.reader import expectation, setting_types
from core.config.sample import default_text
from probes.registry import find_probe, probe_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from probes.declaration import Item, Probe

BEGIN: Final = (
    "<!-- What follows is written by `python -m probes.reference docs/probes.md`: change declarations, not this. -->"
)
END: Final = "<!-- The written part ends here. -->"


def renew(page: str) -> str:
    """Return the page with its written part as it should be. Raises ValueError for a page without the two marks."""
    before, mark, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise ValueError(f"the page needs the lines {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n\n{reference()}\n{END}{after}"


def reference() -> str:
    """Return a section for each probe an agent runs: what it is for, its parameters, its items."""
    found = (find_probe(name) for name in probe_names())
    return "\n".join(_section(probe) for probe in found if probe is not None and probe.place == "agent")


def _section(probe: Probe) -> str:
    module = sys.modules[probe.read.__module__]
    lines = [f"### {probe.name}", "", (module.__doc__ or "").partition("\n")[0], ""]
    parameters = list(_parameters(probe.parameters))
    if parameters:
        lines += ["| Parameter | Expected | Default | Meaning |", "|---|---|---|---|", *parameters, ""]
    lines += ["| Item | Unit | Meaning |", "|---|---|---|", *(_item(item) for item in probe.items), ""]
    return "\n".join(lines)


def _parameters(kind: type[Any]) -> Iterator[str]:
    types = setting_types(kind) if is_dataclass(kind) else {}
    for field in fields(kind):
        is_required = field.default is MISSING and field.default_factory is MISSING
        default = default_text(field, types[field.name])
        shown = "required" if is_required else "" if default == "none" else f"`{default}`"
        expected, meaning = expectation(types[field.name]), field.metadata["description"]
        yield f"| `{field.name}` | {_cell(expected)} | {_cell(shown)} | {_cell(meaning)} |"


def _item(item: Item) -> str:
    name = f"{item.key}[{item.parameter}]" if item.parameter else item.key
    unit = "text" if item.type == "text" else f"`{item.unit}`" if item.unit else ""
    return f"| `{name}` | {unit} | {_cell(item.description)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main(words: Sequence[str]) -> int:
    """Renew the pages named; return 0."""
    for word in words:
        page = Path(word)
        page.write_text(renew(page.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
