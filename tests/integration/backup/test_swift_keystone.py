"""A Swift one signs in to at a Keystone v3: the same promises, and tokens that end while there is work to do."""

from __future__ import annotations

import http.client
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from swiftclient import client

from backup.errors import TargetAway, TargetRefused
from backup.model import Status
from backup.settings.target import TargetSettings
from backup.targets.deleting import open_for_deleting
from backup.targets.registry import open_target
from tests.support.backups import SET, demand_same, fill, new_site
from tests.support.faulty_swift import FaultySwift
from tests.support.keystone import PROJECT, PROJECT_DOMAIN, REGION, TOKEN_SECONDS, USER_DOMAIN, cloud
from tests.support.target_contract import TargetContract
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from backup.targets.contract import Target
    from tests.support.backups import Pairs
    from tests.support.keystone import Cloud

__all__ = ["cloud"]


def _settings(cloud: Cloud, folder: Path, container: str, **changes: str) -> TargetSettings:
    key_file = folder / "swift.key"
    key_file.write_text(changes.pop("key", cloud.key) + "\n")
    values = {
        "auth_url": cloud.url, "user": "owner", "project": PROJECT, "project_domain": PROJECT_DOMAIN,
        "user_domain": USER_DOMAIN, "region": REGION,
    } | changes  # fmt: skip
    return TargetSettings(
        name="store", kind="swift", key_file=key_file, container=container, timeout=timedelta(seconds=60),
        auth_url=values["auth_url"], user=values["user"], project=values["project"], region=values["region"],
        project_domain=values["project_domain"], user_domain=values["user_domain"],
    )  # fmt: skip


def _toml(cloud: Cloud, container: str, user: str, region: str = REGION) -> str:
    return (
        f'kind = "swift"\nauth_url = "{cloud.url}"\nuser = "{user}"\nkey_file = "swift.key"\nproject = "{PROJECT}"\n'
        f'project_domain = "{PROJECT_DOMAIN}"\nuser_domain = "{USER_DOMAIN}"\nregion = "{region}"\n'
        f'container = "{container}"\ntimeout = "120s"'
    )


class TestSwiftWithKeystone(TargetContract):
    @pytest.fixture
    def settings(self, cloud: Cloud, tmp_path: Path) -> TargetSettings:
        return _settings(cloud, tmp_path, cloud.swift.new_container())

    def test_it_signs_in_anew_when_its_token_has_ended(self, cloud: Cloud, target: Target) -> None:
        target.write("t/oken", b"first")
        token = cloud.token()  # not older than the target's
        wait_until(lambda: _has_ended(cloud, token), 20 * TOKEN_SECONDS, "the end of a token")
        before = cloud.logins
        assert b"".join(target.read("t/oken")) == b"first"
        assert cloud.logins > before

    @pytest.mark.parametrize(
        ("setting", "value"),
        [("key", "wrong"), ("user_domain", "Default"), ("project", "another"), ("region", "nowhere")],
    )
    def test_what_does_not_fit_is_refused(self, cloud: Cloud, tmp_path: Path, setting: str, value: str) -> None:
        settings = _settings(cloud, tmp_path, "c", **{setting: value})
        with open_target(settings) as target, pytest.raises(TargetRefused):
            target.reach()

    def test_an_application_credential_signs_in_and_a_wrong_secret_does_not(self, cloud: Cloud, tmp_path: Path) -> None:
        id_, secret = cloud.credential("owner")
        for key, is_right in ((secret, True), ("wrong", False)):
            (tmp_path / "secret").write_text(key)
            settings = TargetSettings(
                name="store", kind="swift", auth_url=cloud.url, user=id_, key_file=tmp_path / "secret", region=REGION,
                application_credential=True, container=cloud.swift.new_container(), timeout=timedelta(seconds=60),
            )  # fmt: skip
            with open_target(settings) as target:
                if is_right:
                    target.reach()
                    target.write("c/redential", b"1")
                    assert dict(target.files("c")) == {"redential": 1}
                else:
                    with pytest.raises(TargetRefused, match="application credential"):
                        target.reach()

    def test_a_keystone_that_does_not_answer_is_away(self, cloud: Cloud, tmp_path: Path) -> None:
        settings = _settings(cloud, tmp_path, "c", auth_url="http://127.0.0.1:1/v3")
        with open_target(settings) as target, pytest.raises(TargetAway):
            target.reach()


def _has_ended(cloud: Cloud, token: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", cloud.swift.port, timeout=120)
    connection.request("HEAD", cloud.storage_url, headers={"X-Auth-Token": token})
    status = connection.getresponse().status
    connection.close()
    return status == 401


def test_a_run_goes_on_when_its_token_ends_while_a_volume_is_sent(pairs: Pairs, cloud: Cloud) -> None:
    """The host has an application credential, the station signs in by password."""
    container = _make_container(cloud)
    with FaultySwift(cloud.swift).running() as slow:
        region = cloud.add_region("slow", slow.port)
        with new_site(pairs, _toml(cloud, container, "web1", region)) as site:
            fill(site.data)
            id_, secret = cloud.credential("web1")
            host, station = site.file("host"), site.file("station")
            by_password = f'project = "{PROJECT}"\nproject_domain = "{PROJECT_DOMAIN}"\nuser_domain = "{USER_DOMAIN}"\n'
            lines = host.read_text().replace('user = "web1"', f'user = "{id_}"')
            host.write_text(lines.replace(by_password, "application_credential = true\n"))
            station.write_text(station.read_text().replace('user = "web1"', 'user = "station"'))
            for role, key in (("host", secret), ("station", cloud.key)):
                (site.folder / role / "swift.key").write_text(key)
            slow.path_part, slow.fault, slow.seconds = "vol2.difftar", "slow put", TOKEN_SECONDS + 2
            before = cloud.logins
            assert site.run().status is Status.OK
            assert slow.struck == 2  # refused once, sent again with a new token
            assert cloud.logins >= before + 3
            back = site.folder / "back"
            restored = site.bkp("station", "restore", SET, "--to", str(back))
            assert restored.returncode == 0, restored.stderr
            demand_same(back / str(site.data)[1:], site.data)


def test_host_station_and_pruner_may_each_do_their_part_and_no_more(cloud: Cloud, tmp_path: Path) -> None:
    container = _make_container(cloud)
    roles = {user: _settings(cloud, tmp_path, container, user=user) for user in ("web1", "station", "pruner")}
    with open_target(roles["web1"]) as host:
        host.reach()
        host.write("web1/set/points/one", b"1")
    with open_for_deleting(roles["station"]) as station:
        station.reach()
        assert b"".join(station.read("web1/set/points/one")) == b"1"
        with pytest.raises(TargetRefused):
            station.write("web1/set/points/two", b"2")
        with pytest.raises(TargetRefused):
            station.delete("web1/set/points/one")
    with open_for_deleting(roles["pruner"]) as pruner:
        pruner.delete("web1/set/points/one")
        assert pruner.folders("") == []


def _make_container(cloud: Cloud) -> str:
    """Make a container as the project's owner would: hosts and the pruner write, the station reads."""
    name = cloud.swift.new_container()
    client.put_container(
        cloud.storage_url, cloud.token(), name,
        headers={
            "X-Container-Read": cloud.acl("web1", "station", "pruner"),
            "X-Container-Write": cloud.acl("web1", "pruner"),
        },
    )  # fmt: skip
    return name
