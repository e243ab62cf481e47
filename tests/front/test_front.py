"""The pages' own checks, run with the Node that builds them, and what a strict CSP asks of the built files."""

from __future__ import annotations

import gzip
import importlib.util
import os
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]
FRONT = ROOT / "dashboards" / "front"


class Markup(HTMLParser):
    """What a page's markup loads and what it carries itself."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.inline: list[str] = []
        self.loaded: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._inside = tag if tag in {"script", "style"} else ""
        self.loaded += [value for name in ("src", "href") if (value := given.get(name))]
        self.inline += [name for name in given if name == "style" or name.startswith("on")]

    def handle_data(self, data: str) -> None:
        if self._inside and data.strip():
            self.inline.append(data)


@pytest.fixture(scope="module")
def builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_front", ROOT / "deploy" / "build_front.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def assets(builder: ModuleType) -> Path:
    builder.build(ROOT)
    return ROOT / "dashboards" / "assets"


def run_npm(builder: ModuleType, script: str) -> None:
    node = builder.find_node()
    done = subprocess.run(
        [*node.npm, "run", "--silent", script],
        cwd=FRONT,
        env=os.environ | {"PATH": f"{node.node.parent}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


@pytest.mark.usefixtures("assets")
def test_types_and_accessibility_rules_of_the_compiler_hold_without_a_warning(builder: ModuleType) -> None:
    run_npm(builder, "check")


@pytest.mark.usefixtures("assets")
def test_what_the_pages_decide_is_decided_as_promised(builder: ModuleType) -> None:
    run_npm(builder, "test")


def test_the_built_page_carries_nothing_inline_and_loads_only_its_own_files(assets: Path) -> None:
    markup = Markup((assets / "index.html").read_text())
    assert markup.inline == []
    assert markup.loaded
    for address in markup.loaded:
        assert (assets / address).resolve().is_file(), address


def test_the_built_files_evaluate_no_text_and_name_no_other_site_to_load_from(assets: Path) -> None:
    for path in (assets / "assets").iterdir():
        text = path.read_text()
        assert not re.search(r"\beval\(|new Function\(", text), path.name
        # Namespaces of SVG and MathML and addresses inside error texts are names, not requests.
        sites = set(re.findall(r"https?://([\w.-]+)", text)) - {"www.w3.org", "svelte.dev"}
        assert sites == set(), path.name
        assert not re.search(r"url\((?!['\"]?\.?/?[\w#-])|@import", text), path.name


def test_the_first_page_stays_small_and_what_is_opened_seldom_is_fetched_then(assets: Path) -> None:
    size = {path.name: len(gzip.compress(path.read_bytes())) for path in (assets / "assets").glob("*.js")}
    needed = needed_first(assets)
    assert sum(size[name] for name in needed) < 90_000
    assert not [name for name in needed if name.startswith(("AdminPage", "BackupsPage", "StartPage"))]
    assert sum(size.values()) < 150_000


def needed_first(assets: Path) -> set[str]:
    """Return the scripts that are loaded before the first page can be drawn: the markup's, and what they import."""
    waiting = [Path(address).name for address in Markup((assets / "index.html").read_text()).loaded]
    needed: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in needed or not name.endswith(".js"):
            continue
        needed.add(name)
        waiting += re.findall(r"""(?:from|import)\s*["']\./([\w.-]+\.js)["']""", (assets / "assets" / name).read_text())
    return needed


def test_the_lock_file_says_what_is_installed_and_not_from_where() -> None:
    text = (FRONT / "package-lock.json").read_text()
    assert '"resolved"' not in text
    assert '"integrity"' in text
    assert not re.search(r"registry|/tarball|\.tgz", text)


def test_a_changed_source_makes_the_assets_stale(builder: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "one.ts").write_text("1")
    before = builder.fingerprint_of(tmp_path)
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "installed.js").write_text("not a source")
    assert builder.fingerprint_of(tmp_path) == before
    (tmp_path / "src" / "one.ts").rename(tmp_path / "src" / "two.ts")
    assert builder.fingerprint_of(tmp_path) != before


def test_a_missing_front_is_named_with_the_remedy(builder: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(builder.FrontNotBuilt, match="Check out the whole repository"):
        builder.build(tmp_path)
