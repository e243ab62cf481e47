"""Which databases, file systems and domains are backed up, waived, new or unprotected, from what hosts say."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from server.coverage.documents import DATABASES, DOMAINS, FILESYSTEMS, read_covers, read_things, unknown_servers
from server.coverage.judge_things import judge_things
from server.coverage.model import SetFacts, ThingsFacts, Verdict, Waived
from server.coverage.thing import FURTHER, Thing
from server.coverage.unprotected_things import MOST_THINGS, THE_REST, UnprotectedThings

if TYPE_CHECKING:
    from collections.abc import Collection

    from server.coverage.model import ThingVerdict

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def named(*names: str, more: int = 0) -> str:
    return json.dumps({"names": names, "more": more})


def server(*names: str, engine: str = "postgresql", port: int = 5432, folder: str = "", **more: Any) -> dict[str, Any]:
    facts = {"names": names, "more": 0, "engine": engine, "port": port, "folder": folder, "is_replica": False}
    return facts | more


def things(*servers: dict[str, Any], mounts: str = named(), domains: str = "") -> list[Thing]:
    databases = json.dumps({"servers": servers, "unknown": []})
    return read_things({DATABASES: databases, FILESYSTEMS: mounts, DOMAINS: domains})


def a_set(covers: dict[str, Any] | None, age: timedelta | None = DAY / 2, host: str = "db1") -> SetFacts:
    return SetFacts(
        host=host,
        name="s",
        good_at=None if age is None else NOW - age,
        period=DAY,
        covers=None if covers is None else read_covers(json.dumps(covers)),
    )


def judge(
    found: list[Thing], *sets: SetFacts, waivers: tuple[Waived, ...] = (), long_known: Collection[Thing] | None = None
) -> list[ThingVerdict]:
    known = found if long_known is None else long_known
    facts = ThingsFacts(host="db1", things=found, long_known=known, within=None, sets=sets)
    return judge_things(facts, waivers, NOW)


def states(verdicts: list[ThingVerdict]) -> dict[str, str]:
    return {each.thing.title: each.state for each in verdicts}


DUMP = {"engine": "postgresql", "port": 5432, "databases": ["billing"]}
WHOLE = {"engine": "mariadb", "port": 3306, "is_whole": True, "left_out": ["scratch"]}


def test_a_dump_covers_its_database_at_its_server_and_no_other() -> None:
    found = [*things(server("billing", "crm")), *things(server("billing", port=5433))]
    assert [each.state for each in judge(found, a_set(DUMP))] == ["covered", "unprotected", "unprotected"]
    assert states(judge(things(server("billing", engine="mariadb")), a_set(DUMP))) == {
        "database billing": "unprotected"
    }


def test_a_copy_of_a_whole_server_covers_all_its_databases_but_what_it_left_out_even_those_nobody_could_name() -> None:
    found = things(server("shop", "scratch", engine="mariadb", port=3306, more=3))
    assert states(judge(found, a_set(WHOLE))) == {
        "database shop": "covered",
        "database scratch": "unprotected",
        f"database {FURTHER}": "covered",
    }


def test_files_cover_the_file_systems_that_were_saved_whole() -> None:
    covers = {"roots": ["/"], "file_systems": ["/", "/srv"]}
    assert states(judge(things(mounts=named("/srv", "/srv/data", "/var")), a_set(covers))) == {
        "filesystem /srv": "covered",
        "filesystem /srv/data": "unprotected",  # excluded, or not mounted when the set was saved
        "filesystem /var": "unprotected",
    }


def test_files_of_a_running_database_or_machine_are_no_backup_of_it() -> None:
    found = things(server("billing", folder="/var/lib/postgresql/17/main"), domains=named("web1"))
    assert set(states(judge(found, a_set({"roots": ["/"], "file_systems": ["/"]}))).values()) == {"unprotected"}


def test_a_file_system_for_a_servers_own_data_or_for_backups_is_no_thing_of_its_own() -> None:
    mounts = named("/mnt/backup", "/srv", "/var/lib/libvirt/images", "/var/lib/mysql", "/var/lib/postgresql")
    found = things(
        server(folder="/var/lib/postgresql/17/main"), server(engine="mariadb", folder="/var/lib/mysql"),
        mounts=mounts, domains=named("web1"),
    )  # fmt: skip
    keeping = a_set({"engine": "postgresql", "port": 5432, "is_whole": True, "keeps": ["/mnt/backup"]})
    assert [each.thing.title for each in judge(found, keeping)] == ["filesystem /srv", "domain web1"]
    assert len(judge(things(mounts=mounts), a_set(DUMP))) == 5  # no server is known


def test_databases_of_a_replica_are_their_primarys_and_those_of_two_servers_are_told_apart() -> None:
    assert things(server("billing", is_replica=True)) == []
    assert [each.title for each in things(server("a", "b"), server("a", port=5433))] == [
        "database a at port 5432",
        "database b",
        "database a at port 5433",
    ]


def test_a_server_in_a_container_is_a_thing_that_is_covered_by_its_name_only() -> None:
    contained = [{"engine": "postgresql", "container": "shop-db"}, {"engine": "mariadb"}, 3, {"container": "x"}]
    document = {"servers": [], "unknown": [], "contained": contained}
    title = "database postgresql in shop-db"
    many = read_things({DATABASES: json.dumps(document | {"more_contained": 7})})
    assert [thing.title for thing in many] == ["database (further ones) in containers", title]
    found = read_things({DATABASES: json.dumps(document)})
    assert [thing.title for thing in found] == [title]
    assert states(judge(found, a_set(DUMP), a_set(WHOLE), a_set({"domains": ["vm"], "is_whole": True}))) == {
        title: "unprotected"
    }
    assert states(judge(found, a_set({"program": "docker", "also": [title.replace(" ", ":", 1)]}))) == {
        title: "covered"
    }
    by_hypervisor = a_set({"domains": ["db1"], "is_whole": True}, host="hyper1")
    assert states(judge(found, by_hypervisor)) == {title: "covered"}


def test_a_machines_own_set_at_its_hypervisor_covers_all_in_it_unless_disks_are_left_out() -> None:
    found = things(server("billing"), mounts=named("/srv"))
    whole = a_set({"domains": ["db1"], "is_whole": True}, host="hyper1")
    assert set(states(judge(found, whole)).values()) == {"covered"}
    part = a_set({"domains": ["db1"], "is_whole": False}, host="hyper1")
    paths = a_set({"roots": ["/"], "file_systems": ["/"]}, host="hyper1")  # the hypervisor's own folders
    assert set(states(judge(found, part, paths)).values()) == {"unprotected"}


def test_what_a_set_says_it_saves_beside_its_source_counts() -> None:
    program = a_set({"program": "mongodump", "also": ["database:crm", "nonsense"]})
    assert states(judge(things(server("billing", "crm")), program)) == {
        "database billing": "unprotected",
        "database crm": "covered",
    }


def test_a_set_that_does_not_say_what_it_saves_makes_nothing_a_problem() -> None:
    found = things(server("billing", "crm"))
    assert states(judge(found, a_set(None), a_set(DUMP))) == {"database billing": "covered", "database crm": "unknown"}
    assert states(judge(found, a_set({}))) == {"database billing": "unknown", "database crm": "unknown"}
    assert set(states(judge(found, a_set(None, age=None))).values()) == {"unprotected"}  # it never saved anything


def test_a_backup_that_is_too_old_does_not_cover_and_is_named() -> None:
    (verdict,) = judge(things(server("billing")), a_set(DUMP, age=3 * DAY))
    assert (verdict.state, verdict.by) == ("unprotected", "db1/s")
    assert verdict.reason == "the last good backup, db1/s of 2026-11-27 12:00 UTC, may be 2 days old"


def test_what_was_not_there_a_day_ago_is_new() -> None:
    found = things(server("billing", "crm"))
    assert states(judge(found, long_known=found[:1])) == {"database billing": "unprotected", "database crm": "new"}


def test_a_waiver_counts_for_the_things_it_names_and_one_of_the_host_for_all() -> None:
    def waived(*patterns: str, left: timedelta = DAY) -> Waived:
        return Waived(name="w", ends_at=NOW + left, reason="made again", things=patterns)

    found = things(server("billing", "test_1"), mounts=named("/srv"))
    assert states(judge(found, waivers=(waived("database:test_*", "filesystem:/srv"),))) == {
        "database billing": "unprotected",
        "database test_1": "waived",
        "filesystem /srv": "waived",
    }
    assert set(states(judge(found, waivers=(waived(),))).values()) == {"waived"}
    over = judge(found, waivers=(waived("database:billing", left=-DAY),))
    assert over[0].reason == "it is in no backup; the waiver w ended with 2026-11-28"
    assert "waiver" not in over[1].reason


def test_what_is_no_document_of_the_form_says_nothing() -> None:
    for text in ("", "[]", "no", '{"servers": 3, "unknown": 4}', '{"servers": [3, {"port": "x"}, {"names": [1]}]}'):
        assert read_things({DATABASES: text, FILESYSTEMS: text, DOMAINS: text}) == []
        assert unknown_servers({DATABASES: text}) == []
    assert read_covers("{}") is None
    assert read_covers('{"roots": "/", "port": "x", "databases": {"a": 1}, "file_systems": 3}') is not None


def verdict_of(*titles: str) -> Verdict:
    judged = judge([Thing(kind="database", name=title) for title in titles])
    return Verdict(host="db1", state="covered", reason="", things=tuple(judged))


def said(before: UnprotectedThings, verdict: Verdict, now: float) -> dict[str, float]:
    found = before.changes(verdict, now, 600.0)
    return {item.key.removeprefix("backup.thing_unprotected"): value for item, value in found}


def has_news(unprotected: UnprotectedThings) -> bool:
    return unprotected.has_news


def test_an_item_is_said_twice_at_once_then_now_and_then_and_0_when_the_thing_is_no_more_unprotected() -> None:
    unprotected = UnprotectedThings([("db1", "database gone")])
    both = {"[database crm]": 1.0, "[database gone]": 0.0}  # an earlier reign said that one, and must not leave it so
    assert said(unprotected, verdict_of("crm"), 0.0) == both
    assert has_news(unprotected)
    assert said(unprotected, verdict_of("crm"), 3.0) == both
    assert not has_news(unprotected)
    assert said(unprotected, verdict_of("crm"), 6.0) == {}
    assert said(unprotected, verdict_of("crm"), 700.0) == {"[database crm]": 1.0}
    assert said(unprotected, verdict_of(), 701.0) == {"[database crm]": 0.0}
    assert has_news(unprotected)


def test_many_things_of_one_host_are_a_few_items() -> None:
    many = [f"d{number:03}" for number in range(100)]
    found = said(UnprotectedThings([]), verdict_of(*many), 0.0)
    assert len(found) == MOST_THINGS + 1
    assert found[f"[{THE_REST}]"] == 1.0
