"""Figures that tests measure are printed at the end of the run, passed or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Callable

# No test measures time: a busy machine may take long for an example, and for thinking of one.
settings.register_profile("watchkeep", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("watchkeep")

_FIGURES: Final = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def figure(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Note a line for the list of figures."""
    lines = pytestconfig.stash.setdefault(_FIGURES, [])
    return lines.append


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the trials: with several workers the longest files shall not be left for the end."""
    items.sort(key=lambda item: not item.path.match("tests/trials/*.py"))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand a worker's figures to the process that prints."""
    output: dict[str, object] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["figures"] = session.config.stash.get(_FIGURES, [])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take a worker's figures."""
    lines = getattr(node, "workeroutput", {}).get("figures", [])
    node.config.stash.setdefault(_FIGURES, []).extend(lines)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if lines := config.stash.get(_FIGURES, []):
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.write_line(line)
