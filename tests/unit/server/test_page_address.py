"""Where links in notices lead: what the operator says, else the server's own address."""

from __future__ import annotations

import socket

import pytest

from server.escalation.payload import with_link
from server.page_address import check_page_url, page_url


@pytest.mark.parametrize(
    ("told", "listen", "port", "is_https", "url"),
    [
        ("", "127.0.0.1", 8642, False, "http://127.0.0.1:8642/"),
        ("", "0.0.0.0", 80, False, f"http://{socket.gethostname()}:80/"),  # noqa: S104 - not bound
        ("", "fd00::1", 8642, True, "https://[fd00::1]:8642/"),
        ("https://watchkeep.example.org/status/", "::1", 0, False, "https://watchkeep.example.org/status/"),
        ("https://watchkeep.example.org", "::1", 8642, False, "https://watchkeep.example.org/"),
        ("", "127.0.0.1", 0, False, None),
    ],
)
def test_the_page_is_where_its_operator_says_or_where_the_server_listens(
    told: str, listen: str, port: int, is_https: bool, url: str | None
) -> None:
    assert page_url(told, listen=listen, port=port, is_https=is_https) == url


@pytest.mark.parametrize(
    "url",
    [
        "watchkeep.example.org", "ftp://x", "http://", "https://user@x/", "http://x/#/hosts", "http://x/?a=1",
        "http://x y/", "http://x/\r\nBcc: all@example.org", "javascript:alert(1)", "https://" + "x" * 200,
        "http://x:99999/", "http://ü/",
    ],
)  # fmt: skip
def test_what_is_no_address_of_a_page_is_refused(url: str) -> None:
    assert (check_page_url(url) or "").startswith("expected http:// or https://")


def test_a_problems_notice_has_its_link_and_a_test_and_an_unknown_page_have_none() -> None:
    assert with_link({"problem": 17}, "http://x/") == {"problem": 17, "link": "http://x/#/problems/17"}
    assert with_link({"problem": 17}, None) == {"problem": 17}
    assert with_link({"event": "test"}, "http://x/") == {"event": "test"}
