"""Services on the network: what does not answer is a value with its reason, within the time given; real ones here."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import serialization

from core.config.reader import ConfigError, check_table
from probes.certificate import MalformedCertificate, read_certificate
from probes.dns_lookup import Parameters as LookUpParameters
from probes.dns_lookup import look_up
from probes.http_get import MOST_BODY_BYTES, Parameters, check_url, get
from probes.icmp_ping import Parameters as PingParameters
from probes.icmp_ping import checksum
from probes.tcp_connect import Parameters as ConnectParameters
from probes.tcp_connect import connect_once
from probes.tls_certificate import Parameters as CertificateParameters
from probes.tls_certificate import read_shown_certificate
from tests.unit.probes.serving import make_authority, serving, serving_http
from tests.unit.probes.visiting import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.probes.serving import Authority

CHECKOUT = Path(__file__).parents[3]
Served = tuple[int, list[dict[str, str]]]


@pytest.fixture(scope="module")
def site() -> Iterator[Served]:
    with serving_http() as served:
        yield served


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@contextmanager
def closed_port() -> Iterator[int]:
    """Keep a port that nobody listens on."""
    with socket.socket() as kept:
        kept.bind(("127.0.0.1", 0))
        yield int(kept.getsockname()[1])


def page(url: str, **parameters: Any) -> dict[str, float | str]:
    """Get `url` once; the values by their items' last word."""
    reader = Reader(
        get, parameters=check_table({"url": url, "name": "shop", "timeout": "40s", **parameters}, Parameters, Path("x"))
    )
    values = reader.read()
    assert reader.failures == []
    return {key.removeprefix("http.").removesuffix("[shop]"): value for key, value in values.items()}


def test_a_port_that_accepts_is_reachable_and_one_that_does_not_says_why(site: Served) -> None:
    reader = Reader(connect_once, parameters=ConnectParameters(host="127.0.0.1", port=site[0], name="web"))
    values = reader.read()
    assert 0 < float(values.pop("tcp.seconds[web]")) < 10
    assert values == {"tcp.reachable[web]": 1.0, "tcp.state[web]": "ok"}
    assert "tcp.state[web]" not in reader.read()
    with closed_port() as closed:
        reader = Reader(connect_once, parameters=ConnectParameters(host="localhost", port=closed))
        label = f"localhost:{closed}"
        assert reader.read() == {
            f"tcp.reachable[{label}]": 0.0, f"tcp.state[{label}]": f"localhost port {closed}: Connection refused",
        }  # fmt: skip
    reader = Reader(
        connect_once,
        parameters=ConnectParameters(host="no-such-host.invalid", port=80, name="x", timeout=timedelta(seconds=2)),
    )
    assert reader.read()["tcp.reachable[x]"] == 0.0
    assert "the name no-such-host.invalid" in str(reader.all_of("tcp.state")[0])
    assert reader.failures == []


def test_a_name_is_told_with_its_addresses_as_this_machine_resolves_it() -> None:
    def looked_up(**parameters: str) -> dict[str, float | str]:
        reader = Reader(look_up, parameters=check_table({"name": "it", **parameters}, LookUpParameters, Path("x")))
        values = reader.read()
        assert reader.failures == []
        return {key.removeprefix("dns.").removesuffix("[it]"): value for key, value in values.items()}

    values = looked_up(host="localhost")
    assert 0 <= float(values.pop("seconds")) < 10
    assert set(str(values.pop("addresses")).split()) & {"127.0.0.1", "::1"}
    assert values == {"resolved": 1.0, "state": "ok"}
    assert looked_up(host="127.0.0.1", expect=r"^127\.")["resolved"] == 1.0
    wrong = looked_up(host="127.0.0.1", expect=r"^10\.")
    assert (wrong["resolved"], wrong["state"]) == (0.0, "no address is as it should be")
    assert looked_up(host="no-such-host.invalid", timeout="2s").keys() == {"resolved", "state"}


def test_a_body_that_is_a_document_is_kept(site: Served) -> None:
    url = f"http://127.0.0.1:{site[0]}"
    assert page(f"{url}/status.json", document=True)["document"] == '{"queue":3,"state":"ready"}'
    assert "document" not in page(f"{url}/status.json")
    wrong = page(f"{url}/", document=True)
    assert "document" not in wrong
    assert wrong["ok"] == 0.0
    assert "is no JSON document" in str(wrong["state"])


def test_a_page_is_told_with_status_size_and_time(site: Served) -> None:
    values = page(f"http://127.0.0.1:{site[0]}/200?a=b c".replace(" ", "%20"), body="Welcome .* café")
    assert 0 < float(values.pop("seconds")) < 40
    assert values == {"ok": 1.0, "status": 200.0, "size": 26.0, "matched": 1.0, "state": "ok"}
    assert site[1][-1] == {
        "Host": f"127.0.0.1:{site[0]}", "User-Agent": "Watchkeep", "Accept": "*/*", "Connection": "close",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "parameters", "expected"),
    [
        ("/500", {}, {"ok": 0.0, "status": 500.0, "state": "status 500"}),
        ("/404", {"status": [404, 410]}, {"ok": 1.0, "status": 404.0, "state": "ok"}),
        ("/200", {"status": [204]}, {"ok": 0.0, "state": "status 200"}),
        ("/200", {"body": "^Good"}, {"ok": 0.0, "matched": 0.0, "state": "the body does not say what it should"}),
        ("/chunks", {"body": "^hello, world$"}, {"ok": 1.0, "size": 12.0}),
        ("/relative", {}, {"ok": 1.0, "size": float(MOST_BODY_BYTES)}),
        ("/relative", {"follow": False}, {"ok": 1.0, "status": 301.0}),
        ("/loop", {}, {"ok": 0.0, "state": "it sends the reader on more than 5 times"}),
        ("/away?file:///x", {}, {"ok": 0.0, "state": "it sends the reader to 'file:///x', which is no web address"}),
    ],
)  # fmt: skip
def test_what_is_right_is_said_by_the_parameters(
    site: Served, path: str, parameters: dict[str, Any], expected: dict[str, float | str]
) -> None:
    values = page(f"http://127.0.0.1:{site[0]}{path}", **parameters)
    assert {key: values.get(key) for key in expected} == expected


def test_headers_are_sent_but_to_no_other_machine_after_a_redirect(site: Served) -> None:
    with serving_http() as (other, heard):
        url = f"http://127.0.0.1:{site[0]}/away?http://127.0.0.1:{other}/200"
        assert page(url, headers=["Authorization: Bearer x", "User-Agent: mine"])["ok"] == 1.0
    assert (site[1][-1]["Authorization"], site[1][-1]["User-Agent"]) == ("Bearer x", "mine")
    assert "Authorization" not in heard[0]


def test_a_server_that_drips_for_ever_is_left_in_time() -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            connection.sendall(b"x")
            time.sleep(0.02)  # slower than the reader: that is the case under test

    with serving(drip) as port:
        values = page(f"http://127.0.0.1:{port}/", timeout="500ms")
    assert values == {"ok": 0.0, "state": "no answer within 0.5 s"}


@pytest.mark.parametrize("talk", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort",
                                  b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"y" * 70_000])  # fmt: skip
def test_what_is_no_answer_of_http_is_said(talk: bytes) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(talk)

    with serving(answer) as port:
        values = page(f"http://127.0.0.1:{port}/", timeout="20s")
    assert values["ok"] == 0.0
    assert str(values["state"]).startswith(("no answer of HTTP: ", "the answer ended before its body did"))


@pytest.mark.parametrize(
    "url", ["ftp://a/", "http://", "a.example", "http://u:p@a/", "http://a b/", "http://a:99999/", "http://a/\r\nX: y"]
)
def test_what_is_no_web_address_is_a_fault_of_the_definition(url: str) -> None:
    assert check_url(url) is not None
    with pytest.raises(ConfigError, match="url: expected http:// or https://"):
        check_table({"url": url}, Parameters, Path())


def test_a_certificate_counts_only_when_it_is_trusted_and_for_this_name(tmp_path: Path, authority: Authority) -> None:
    trust = {"ca_file": str(authority.file)}
    with serving_http(authority.context(tmp_path, "127.0.0.1", days=5)) as (port, _):
        assert page(f"https://127.0.0.1:{port}/", **trust)["ok"] == 1.0
        values = page(f"https://127.0.0.1:{port}/")
        assert values["ok"] == 0.0
        assert str(values["state"]).startswith("the certificate is not trusted: ")
        assert page(f"https://127.0.0.1:{port}/", verify=False)["ok"] == 1.0
        assert "IP address mismatch" not in str(page(f"https://localhost:{port}/", verify=False)["state"])
        assert "ostname mismatch" in str(page(f"https://localhost:{port}/", **trust)["state"])
    with serving_http() as (port, _):
        assert str(page(f"https://127.0.0.1:{port}/", timeout="20s")["state"]).startswith("no TLS: ")


def certificate_at(port: int, **parameters: Any) -> tuple[dict[str, float | str], list[str]]:
    table = {"host": "127.0.0.1", "port": port, "name": "web", "timeout": "40s", **parameters}
    reader = Reader(read_shown_certificate, parameters=check_table(table, CertificateParameters, Path("x")))
    values = reader.read()
    return {key.removeprefix("tls.").removesuffix("[web]"): value for key, value in values.items()}, reader.failures


@pytest.mark.parametrize(("days", "trusted"), [(20.0, 1.0), (-3.0, 0.0)])
def test_a_certificates_days_are_told_though_it_has_expired(
    tmp_path: Path, authority: Authority, days: float, trusted: float
) -> None:
    names = ("shop.example.org", "*.example.org", "127.0.0.1", "::1")
    with serving_http(authority.context(tmp_path, *names, days=days)) as (port, _):
        values, failures = certificate_at(port, ca_file=str(authority.file))
    assert failures == []
    assert values.pop("days_left") == pytest.approx(days, abs=0.1)
    state = "ok" if trusted else "the certificate is not trusted: certificate has expired"
    assert values == {
        "reachable": 1.0,
        "trusted": trusted,
        "issuer": "O=Tést, CN=Authority of the test",
        "names": "shop.example.org *.example.org 127.0.0.1 ::1",
        "state": state,
    }


def test_without_a_handshake_there_is_a_reason_and_no_certificate(authority: Authority, tmp_path: Path) -> None:
    with closed_port() as closed:
        assert certificate_at(closed)[0]["reachable"] == 0.0
    with serving(lambda connection: connection.sendall(b"220 mail ready\r\n")) as port:
        values, failures = certificate_at(port, timeout="20s")
    assert (values["reachable"], failures) == (0.0, [])
    assert str(values["state"]).startswith("no TLS: ")
    with serving_http(authority.context(tmp_path, "127.0.0.1", days=5)) as (port, _):
        _, failures = certificate_at(port, ca_file=str(tmp_path / "none.pem"))
    assert failures == [f"{tmp_path}/none.pem is no file of certificates: No such file or directory"]


def test_a_certificate_is_read_as_the_library_reads_it_and_a_torn_one_refused(authority: Authority) -> None:
    der = authority.certificate.public_bytes(serialization.Encoding.DER)
    found = read_certificate(der)
    now = datetime.now(UTC)
    assert found.not_before < now - timedelta(days=29) < now < found.not_after
    assert found.subject == found.issuer == "O=Tést, CN=Authority of the test"
    assert found.names == ("Authority of the test",)
    for torn in (b"", der[:40], der[:-9], b"\x30\x80" + der, b"\x30\x84\xff\xff\xff\xff", bytes(50)):
        with pytest.raises(MalformedCertificate):
            read_certificate(torn)


PING = """
import fcntl, json, socket, struct, sys
from datetime import timedelta
from pathlib import Path
from probes.declaration import ProbeFailedError
from probes.icmp_ping import Parameters, open_socket, ping
from probes.visit import Visit
if "up" in sys.argv:
    with socket.socket() as any_socket:  # SIOCSIFFLAGS: IFF_UP
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 1))
if "granted" in sys.argv:
    Path("/proc/sys/net/ipv4/ping_group_range").write_text("0 0")
    with open_socket(socket.AF_INET) as made:
        assert made.type == socket.SOCK_DGRAM
found = []
for host in ("127.0.0.1", "::1"):
    try:
        parameters = Parameters(host=host, packets=3, timeout=timedelta(seconds=10))
        found += [(r.item, r.value) for r in ping.read(Visit(), parameters)]
    except ProbeFailedError as error:
        found.append(("failed", str(error)))
print(json.dumps(found))
"""


def ping_apart(*words: str, as_root: bool = True) -> list[list[Any]]:
    """Ping the loopback in a network of its own, which has the kernel's own defaults."""
    user = ["--map-root-user"] if as_root else ["--map-user=1000", "--map-group=1000"]
    command = ["unshare", "--user", *user, "--net", "--", sys.executable, "-c", PING, *words]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    found: list[list[Any]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("words", [("up",), ("up", "granted")])
def test_echo_requests_are_answered_by_the_loopback_raw_or_by_grant(words: tuple[str, ...]) -> None:
    found = ping_apart(*words)
    assert [item for item, _ in found] == ["ping.loss", "ping.fastest", "ping.mean", "ping.slowest", "ping.state"] * 2
    assert [value for item, value in found if item in ("ping.loss", "ping.state")] == [0.0, "ok", 0.0, "ok"]
    fastest, mean, slowest = (value for _, value in found[1:4])
    assert 0 < fastest <= mean <= slowest < 10


def test_without_a_network_all_is_lost_and_the_reason_said() -> None:
    assert ping_apart()[:2] == [["ping.loss", 100.0], ["ping.state", "Network is unreachable"]]


def test_a_user_who_may_not_ping_is_told_which_setting_grants_it() -> None:
    found = ping_apart(as_root=False)
    assert [item for item, _ in found] == ["failed", "failed"]
    assert 'net.ipv4.ping_group_range="0 2147483647"' in found[0][1]


def test_the_checksum_is_the_one_of_the_standard() -> None:
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0x220D  # the example of RFC 1071


def test_how_often_and_how_long_is_bounded() -> None:
    with pytest.raises(ConfigError) as caught:
        check_table({"host": "a b", "packets": 51, "timeout": "11s"}, PingParameters, Path())
    assert len(caught.value.faults) == 3
