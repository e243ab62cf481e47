"""The document's lines for a restore by hand do what they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from backup.keys.sheet import draw_up
from tests.support.backups import CHECKOUT, change, demand_same

if TYPE_CHECKING:
    from tests.support.backups import Site


def test_plain_gpg_and_duplicity_restore_as_the_document_says(site: Site) -> None:
    site.run()
    change(site.data / "empty", "no more")
    site.run()
    place = site.folder / "by-hand"
    place.mkdir()
    with site.ring("station") as station:
        sheet = draw_up(
            site.pairs.station, station.export_secret(site.pairs.station), "station1", station.passphrase_file
        )
        (place / "sheet.txt").write_text(sheet.text)
        (place / "passphrase").write_text(station.passphrase() + "\n")
        (place / "web1.asc").write_text(station.export_public(site.pairs.host))
    text = (CHECKOUT / "docs/backup.md").read_text()
    (lines,) = re.findall(r"<!-- by hand: a test runs these lines -->\n```sh\n(.*?)```", text, re.DOTALL)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", lines], cwd=place, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False, timeout=100, env={"PATH": path, "STORE": str(site.store), "HOME": str(place)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    assert "Good signature" in done.stderr
    demand_same(place / "back" / str(site.data)[1:], site.data)
    subprocess.run(["gpgconf", "--homedir", str(place / "key"), "--kill", "gpg-agent"], check=True, timeout=60)
