"""A real Swift in one process: proxy, account, container and object server, each on a loopback port of its own.

`python -m tests.support.swift_process FOLDER PROXY_PORT_FILE [KEYSTONE]` makes rings and configurations in FOLDER,
serves until it is ended, and writes the proxy's port to the file once everything answers. With the address of a
Keystone, that says who is who; else Swift's own list does, and S3's API is spoken, too. It must be a process of its
own, since eventlet changes Python's sockets and threads for everybody in it.
"""

from __future__ import annotations

import eventlet  # type: ignore[import-untyped]  # it ships no types

eventlet.monkey_patch()

import sys  # noqa: E402 - eventlet first: it changes what the others take
from pathlib import Path  # noqa: E402
from typing import Any, Final  # noqa: E402

from swift.common import utils  # type: ignore[import-untyped]  # it ships no types  # noqa: E402

ACCOUNT, USER, KEY = "test", "tester", "testing"
SECOND_ACCOUNT = "other"
_PARTS: Final = {"account": 4, "container": 4, "object": 4}

# All four servers are one thread: while a slow disk holds it, every one of them is silent. With Swift's own limits
# (half a second here and there) a part is then taken for broken, and a container never hears of an object: what would
# bring that up to date later is no part of this.
_PATIENCE: Final = """
conn_timeout = 120
node_timeout = 120
recoverable_node_timeout = 120
client_timeout = 240
container_update_timeout = 120
post_quorum_timeout = 120
"""

_BACKEND: Final = """
[DEFAULT]
devices = {folder}/disks
swift_dir = {folder}
mount_check = false
disable_fallocate = true
workers = 0
bind_ip = 127.0.0.1
bind_port = {port}
log_level = ERROR
[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
{patience}
"""

_PROXY: Final = """
[DEFAULT]
swift_dir = {folder}
workers = 0
bind_ip = 127.0.0.1
bind_port = {port}
log_level = ERROR
[pipeline:main]
pipeline = catch_errors healthcheck no_expiry cache {login} container_quotas slo versioned_writes symlink proxy-server
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:cache]
paste.filter_factory = tests.support.swift_process:remembering
[filter:no_expiry]
paste.filter_factory = tests.support.swift_process:refusing_expiry
[filter:s3api]
use = egg:swift#s3api
s3_acl = false
[filter:tempauth]
use = egg:swift#tempauth
user_{account}_{user} = {key} .admin
user_{second}_{user} = {key} .admin
user_{account}_web1 = {key}
user_{account}_station = {key}
user_{account}_pruner = {key}
[filter:authtoken]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory
auth_url = {keystone}
www_authenticate_uri = {keystone}
auth_type = password
username = admin
password = admin-password
project_name = admin
user_domain_id = default
project_domain_id = default
delay_auth_decision = true
cache = swift.cache
[filter:keystoneauth]
use = egg:swift#keystoneauth
operator_roles = admin, manager
[filter:container_quotas]
use = egg:swift#container_quotas
[filter:slo]
use = egg:swift#slo
[filter:symlink]
use = egg:swift#symlink
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_object_versioning = true
allow_versioned_writes = true
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
error_suppression_limit = 1000000
{patience}
"""


class Remembered:
    """What memcached does for Swift, in a dictionary: tokens and what a container is; times are not kept."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def get(self, key: str, *_: Any, **__: Any) -> Any:
        return self._values.get(key)

    def set(self, key: str, value: Any, *_: Any, **__: Any) -> None:
        self._values[key] = value

    def delete(self, key: str, *_: Any, **__: Any) -> None:
        self._values.pop(key, None)

    def incr(self, key: str, delta: int = 1, *_: Any, **__: Any) -> int:
        self._values[key] = max(0, int(self._values.get(key, 0)) + delta)
        return int(self._values[key])


def remembering(_: dict[str, str], **__: str) -> Any:
    """Paste's factory of the filter that gives each request the cache."""
    cache = Remembered()

    def wrap(application: Any) -> Any:
        def serve(environment: dict[str, Any], start_response: Any) -> Any:
            environment["swift.cache"] = cache
            return application(environment, start_response)

        return serve

    return wrap


def refusing_expiry(_: dict[str, str], **__: str) -> Any:
    """Paste's factory of the rule docs/backup-keys.md asks of what stands before Swift: nobody sets an expiry date."""

    def wrap(application: Any) -> Any:
        def serve(environment: dict[str, Any], start_response: Any) -> Any:
            if "HTTP_X_DELETE_AT" in environment or "HTTP_X_DELETE_AFTER" in environment:
                start_response("403 Forbidden", [("Content-Length", "0")])
                return []
            return application(environment, start_response)

        return serve

    return wrap


def serve(folder: Path, port_file: Path, keystone: str | None) -> None:
    """Serve until the process is ended."""
    (folder / "swift.conf").write_text("[swift-hash]\nswift_hash_path_suffix = tests\nswift_hash_path_prefix = tests\n")
    utils.SWIFT_CONF_FILE = str(folder / "swift.conf")
    utils.validate_hash_conf()
    sockets = {name: eventlet.listen(("127.0.0.1", 0), backlog=256) for name in ("proxy", *_PARTS)}
    ports = {name: sock.getsockname()[1] for name, sock in sockets.items()}
    (folder / "disks" / "one").mkdir(parents=True)
    for name, power in _PARTS.items():
        _make_ring(folder / f"{name}.ring.gz", ports[name], power)
        (folder / f"{name}.conf").write_text(
            _BACKEND.format(folder=folder, name=name, port=ports[name], patience=_PATIENCE)
        )
    (folder / "proxy.conf").write_text(
        _PROXY.format(
            folder=folder,
            port=ports["proxy"],
            account=ACCOUNT,
            second=SECOND_ACCOUNT,
            user=USER,
            key=KEY,
            login="authtoken keystoneauth" if keystone else "s3api tempauth",
            keystone=keystone,
            patience=_PATIENCE,
        )
    )
    from swift.common import wsgi  # noqa: PLC0415 - it reads the configuration named above

    # Each server would choose the event hub anew, and with it forget those that serve already.
    choose = eventlet.hubs.use_hub
    choose(wsgi.get_hub())
    eventlet.hubs.use_hub = lambda hub=None: choose() if hub is None else None
    threads = []
    for name, sock in sockets.items():
        file = str(folder / f"{name}.conf")
        conf = utils.readconf(file, f"app:{name}-server", log_name=name)
        threads.append(eventlet.spawn(wsgi.run_server, conf, utils.get_logger(conf, name, log_to_console=True), sock))
    eventlet.spawn(_say_when_ready, ports["proxy"], port_file)
    for thread in threads:
        thread.wait()


def _make_ring(file: Path, port: int, power: int) -> None:
    from swift.common.ring import RingBuilder  # type: ignore[import-untyped]  # no types  # noqa: PLC0415 - after the configuration is named

    builder = RingBuilder(power, 1, 0)
    builder.add_dev(
        {"id": 0, "region": 1, "zone": 1, "ip": "127.0.0.1", "port": port, "device": "one", "weight": 1.0, "meta": "",
         "replication_ip": "127.0.0.1", "replication_port": port}
    )  # fmt: skip
    builder.rebalance()
    builder.get_ring().save(str(file))


def _say_when_ready(port: int, file: Path) -> None:
    from eventlet.green.urllib.request import urlopen  # type: ignore[import-untyped]  # noqa: PLC0415 - gives way

    while True:
        try:
            urlopen(f"http://127.0.0.1:{port}/healthcheck", timeout=60).read()
        except OSError:
            eventlet.sleep(0.02)
            continue
        break
    waiting = file.with_suffix(".new")
    waiting.write_text(str(port))
    waiting.rename(file)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None)
