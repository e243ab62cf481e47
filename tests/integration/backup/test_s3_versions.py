"""Root on a host with its credentials at a bucket that keeps versions, which it may not touch: all comes back."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import ClientError
from swiftclient import client

from backup.model import Kind
from tests.support.backups import CHECKOUT, PLACE, SET, change, fill, new_site
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.backups import Pairs, Site
    from tests.support.swift import Swift

_DOCS = CHECKOUT / "docs" / "backup-targets.md"


def _s3(swift: Swift, user: str) -> Any:
    return Session().client(
        "s3", endpoint_url=f"http://127.0.0.1:{swift.port}", region_name="us-east-1", aws_access_key_id=user,
        aws_secret_access_key=swift.key,
        config=Config(request_checksum_calculation="when_required", response_checksum_validation="when_required"),
    )  # fmt: skip


def _toml(swift: Swift, bucket: str, user: str) -> str:
    return (
        f'kind = "s3"\nendpoint_url = "http://127.0.0.1:{swift.port}"\nuser = "test:{user}"\nkey_file = "s3.key"\n'
        f'bucket = "{bucket}"\ntimeout = "60s"'
    )


@pytest.fixture
def kept(pairs: Pairs, swift: Swift) -> Iterator[tuple[Site, str]]:
    """A site whose host may write to a bucket with versions, whose station may read it, whose pruner may delete."""
    bucket = swift.new_container()
    owner = _s3(swift, swift.user)
    owner.create_bucket(Bucket=bucket)
    owner.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    connection = client.Connection(authurl=swift.auth_url, user=swift.user, key=swift.key, auth_version="1", retries=0)
    rights = {
        "X-Container-Read": "test:web1,test:station,test:pruner",
        "X-Container-Write": "test:web1,test:pruner",
    }
    connection.post_container(bucket, rights)
    with new_site(pairs, _toml(swift, bucket, "web1")) as site:
        fill(site.data)
        site.add_pruner('retention.keep_chains = 1\ngrace = "0s"', target=_toml(swift, bucket, "pruner"))
        text = site.file("station").read_text()
        site.file("station").write_text(text.replace("test:web1", "test:station"))
        for role in ("host", "station", "pruner"):
            (site.folder / role / "s3.key").write_text(swift.key)
        yield site, bucket


def _attack(host: Any, bucket: str) -> None:
    """Do all the harm a host's credentials can do."""
    names = [each["Key"] for each in host.list_objects_v2(Bucket=bucket)["Contents"]]
    assert len(names) > 5
    for each in host.list_object_versions(Bucket=bucket)["Versions"]:
        with pytest.raises(ClientError, match="AccessDenied"):
            host.delete_object(Bucket=bucket, Key=each["Key"], VersionId=each["VersionId"])
    for status in ("Suspended", "Enabled"):
        with pytest.raises(ClientError, match="AccessDenied"):
            host.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})
    for number, name in enumerate(names):
        if number % 2:
            host.put_object(Bucket=bucket, Key=name, Body=b"overwritten once")
            host.put_object(Bucket=bucket, Key=name, Body=b"and again")
        if number % 3:
            host.delete_object(Bucket=bucket, Key=name)
    with pytest.raises(ClientError):
        host.delete_bucket(Bucket=bucket)


def _recall(swift: Swift, bucket: str, before: datetime) -> None:
    """Bring everything back by the lines of the manual."""
    marked = r"<!-- recall: a test runs these lines -->\n```python\n(.*?)```"
    (lines,) = re.findall(marked, _DOCS.read_text(), re.DOTALL)
    environment = os.environ | {
        "AWS_ACCESS_KEY_ID": swift.user, "AWS_SECRET_ACCESS_KEY": swift.key, "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{swift.port}", "AWS_CONFIG_FILE": "/dev/null", "BUCKET": bucket,
        "BEFORE": before.isoformat(),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", lines], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def _points(site: Site) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(site.bkp("station", "list", SET, "--json").stdout)["points"]
    return found


@pytest.mark.trial("S-11")
def test_what_a_stolen_host_overwrites_and_deletes_comes_back_and_a_prune_leaves_versions(
    kept: tuple[Site, str], swift: Swift
) -> None:
    site, bucket = kept
    owner = _s3(swift, swift.user)
    first = site.run()
    before = _points(site)
    assert len(before) == 1
    written = max(each["LastModified"] for each in owner.list_objects_v2(Bucket=bucket)["Contents"])
    wait_until(lambda: datetime.now(UTC) > written, 60, "the end of the second all was written in")
    attacked_at = datetime.now(UTC)
    _attack(_s3(swift, "test:web1"), bucket)
    assert _points(site) != before
    _recall(swift, bucket, attacked_at)
    assert _points(site) == before
    verified = site.bkp("station", "verify", SET, "--depth", "decrypted")
    assert verified.returncode == 0, verified.stderr

    change(site.data / "empty", "second")
    site.run(is_full_asked=True)
    assert site.prune("--yes")[-1]["chains_deleted"] == 1
    listed = owner.list_object_versions(Bucket=bucket, Prefix=f"{PLACE.chains}/{first.chain}/")
    assert listed["Versions"], "what a prune deleted stays as a version"
    assert not any(each["IsLatest"] for each in listed["Versions"])
    change(site.data / "empty", "third")
    assert site.run().kind is Kind.INCREMENTAL
    assert len(_points(site)) == 2
