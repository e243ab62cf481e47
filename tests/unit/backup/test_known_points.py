"""Which restore points count as vanished: what no prune takes."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from backup.catalogue import Catalogue, Refused
from backup.model import Counts, Kind, Manifest, Place, RestorePoint, RunId, RunRecord, Status, read_instant
from backup.notes.holds import Hold, hold_text
from backup.retention import Rules
from backup.saving.expected import expected_chains
from backup.saving.journal import Journal
from backup.saving.known_points import KnownPoints, vanished_points, vanished_table
from backup.settings.target import TargetSettings
from backup.targets.folder import DeletingFolder

if TYPE_CHECKING:
    from pathlib import Path

FIRST, SECOND, THIRD = (f"2026110{day}T020000Z" for day in (1, 2, 3))
PLACE = Place(host="web1", set="files")
OLD, YOUNG = FIRST, THIRD  # chains: two points in the first, one in the second
KNOWN = {FIRST: OLD, SECOND: OLD, THIRD: YOUNG}


def point(name: str, broken: str | None = None) -> RestorePoint:
    at = read_instant(name)
    manifest = Manifest(
        host="web1", set="files", due_at=at, at=at, finished_at=at, kind=Kind.FULL, reason="", chain=KNOWN[name],
        position=0, previous=None, source="paths", volumes=(), recipients=(), signer="",
        counts=Counts(entries=1, bytes=1, changed_bytes=1),
    )  # fmt: skip
    return RestorePoint(manifest=manifest, broken=broken)


def there(*points: RestorePoint, refused: str = "") -> Catalogue:
    refusals = (Refused(name=f"{refused}.json.asc", why="its signature"),) if refused else ()
    return Catalogue(points=points, refused=refusals)


def test_what_a_prune_takes_or_has_half_taken_did_not_vanish() -> None:
    assert vanished_points(KNOWN, there(*map(point, KNOWN))) == {}
    assert vanished_points(KNOWN, there(point(THIRD))) == {}
    assert vanished_points(KNOWN, there(point(SECOND, "the full is missing"), point(THIRD))) == {}


def test_what_no_prune_takes_vanished() -> None:
    assert vanished_points(KNOWN, there()) == KNOWN
    assert vanished_points(KNOWN, there(point(FIRST), point(SECOND))) == {THIRD: YOUNG}  # the newest chain
    assert vanished_points(KNOWN, there(point(FIRST), point(THIRD))) == {SECOND: OLD}  # a part of a chain
    assert vanished_points(KNOWN, there(point(THIRD, "damaged"))) == {FIRST: OLD, SECOND: OLD}  # none would be left


def test_a_chain_that_rules_or_a_hold_keep_did_not_go_by_a_prune(tmp_path: Path) -> None:
    target = DeletingFolder(TargetSettings(name="store", kind="folder", folder=tmp_path))
    now = read_instant(THIRD) + timedelta(hours=1)
    newest = there(point(THIRD))

    def expected(rules: Rules | None = None) -> set[str]:
        return expected_chains(target, PLACE, rules, KNOWN, newest, now)

    assert expected() == set()
    assert expected(Rules(chains=1)) == {YOUNG}
    assert expected(Rules(daily=2)) == {OLD, YOUNG}
    assert vanished_points(KNOWN, newest, expected(Rules(chains=1))) == {}
    assert vanished_points(KNOWN, newest, expected(Rules(chains=2))) == {FIRST: OLD, SECOND: OLD}
    for day, held in ((4, set()), (2, {OLD, YOUNG})):  # one set later may have come after a prune
        hold = Hold(name="case", chain=None, reason="", by="safe", set_at=read_instant(f"2026110{day}T120000Z"))
        target.write("web1/files/holds/case.json", hold_text(hold).encode())
        assert expected() == held


def test_a_manifest_that_does_not_count_is_there() -> None:
    assert vanished_points(KNOWN, there(point(FIRST), point(SECOND), refused=THIRD)) == {}


def test_what_vanished_stays_told_until_it_is_back_or_forgotten(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "files")
    known = KnownPoints(journal)
    known.look("store", there(*map(point, KNOWN)))
    known.write()
    known = KnownPoints(journal)
    assert known.look("store", there(point(FIRST), point(SECOND))) == {THIRD: YOUNG}
    known.write()
    known = KnownPoints(journal)
    assert known.look("store", there(point(FIRST), point(SECOND))) == {THIRD: YOUNG}
    (told,) = vanished_table({"store": {THIRD: YOUNG}, "far": {}})
    assert told == {"target": "store", "count": 1, "points": ["2026-11-03T02:00:00+00:00"]}
    assert known.look("store", there(*map(point, KNOWN))) == {}
    assert known.look("store", there()) == KNOWN
    known.forget(["store"])
    assert known.look("store", there()) == {}


def test_a_host_that_wrote_nothing_down_yet_knows_what_its_good_runs_made(tmp_path: Path) -> None:
    at = read_instant(THIRD)
    records = [
        RunRecord(id=RunId(set="files", due_at=at), status=status, started_at=at, pid=1, at=at, chain=YOUNG)
        for status in (Status.OK, Status.FAILED)
    ]
    known = KnownPoints(Journal(tmp_path, "files"))
    known.seed("store", records[1:])
    assert known.of("store") == {}
    known = KnownPoints(Journal(tmp_path, "other"))
    known.seed("store", records)
    assert known.look("store", there()) == {THIRD: YOUNG}
