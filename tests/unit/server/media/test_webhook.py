from __future__ import annotations

import hashlib
import hmac
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from server.escalation.payload import Happening, write_payload
from server.media.contract import SendFailed, SendRefused
from server.media.secret import read_secret
from server.media.webhook import check_url, judge_answer, sign, write_body

KEY = UUID("5f0c9b3e-7c1d-4d0e-9a3b-2f1e6d5c4b3a")
NOW = 1_795_000_000.0


def test_the_signature_covers_time_key_and_body() -> None:
    expected = hmac.new(b"secret", f"1795000000.{KEY}.".encode() + b"{}", hashlib.sha256).hexdigest()
    assert sign("secret", KEY, 1_795_000_000, b"{}") == f"t=1795000000,v1={expected}"
    assert sign("secret", KEY, 1_795_000_001, b"{}") != sign("secret", KEY, 1_795_000_000, b"{}")


def test_the_body_has_the_same_bytes_whatever_the_order_of_keys() -> None:
    assert write_body({"b": "ä", "a": 1}) == write_body({"a": 1, "b": "ä"}) == '{"a":1,"b":"ä"}'.encode()


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_takes_the_notice(status: int) -> None:
    judge_answer(status, None, NOW)


@pytest.mark.parametrize("status", [301, 302, 307, 308, 401, 403, 404, 408, 425, 429, 500, 502, 503, 504])
def test_what_may_be_put_right_is_tried_again(status: int) -> None:
    with pytest.raises(SendFailed, match=str(status)):
        judge_answer(status, None, NOW)


@pytest.mark.parametrize("status", [400, 405, 410, 413, 415, 422])
def test_what_was_understood_and_refused_is_final(status: int) -> None:
    with pytest.raises(SendRefused, match=str(status)):
        judge_answer(status, None, NOW)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("30", 30.0), ("0", 0.0), ("999999999", 3600.0), ("-5", None), ("soon", None), ("²", None), (None, None),
        ("Wed, 18 Nov 2026 11:07:20 GMT", 440.0), ("Wed, 18 Nov 2020 10:00:00 GMT", 0.0),
    ],
)  # fmt: skip
def test_retry_after_is_read_within_bounds(header: str | None, seconds: float | None) -> None:
    with pytest.raises(SendFailed) as raised:
        judge_answer(503, header, 1_794_999_600.0)
    assert raised.value.retry_seconds == seconds


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example/", "//a.example/", "a.example", "https://", "https:///x", "https://u:p@a.example/",
        "https://a.example/#x", "https://a.example/a b", "https://a.example/\r\nX: y", "file:///etc/passwd",
        "https://a.example:99999/", "https://a.example:0/", "https://a.example/" + "x" * 2000, "javascript:x", "http://[::1/",
        "http://127.1/", "http://2130706433/", "http://0x7f000001/", "http://0177.0.0.1/", "http://a.0x7f/",
    ],
)  # fmt: skip
def test_only_whole_http_urls_are_accepted(url: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        check_url(url)


@pytest.mark.parametrize(
    "url", ["https://a.example/x?y=1", "http://127.0.0.1:8080/", "http://[::1]:80/x", "https://ä.example/"]
)
def test_whole_urls_are_kept_as_written(url: str) -> None:
    assert check_url(url) == url


def test_a_secret_is_read_without_its_line_end(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("  s3cret \n")
    assert read_secret(tmp_path, "a") == "  s3cret "


def test_an_unusable_secret_names_the_file_and_never_its_content(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "long").write_text("hidden" * 1000)
    (tmp_path / "binary").write_bytes(b"hidden\xff")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("missing", "empty", "long", "binary", "folder", "pipe"):
        with pytest.raises(SendFailed, match=name) as raised:
            read_secret(tmp_path, name)
        assert "hidden" not in str(raised.value)


def test_the_example_in_the_manual_is_true() -> None:
    manual = Path(__file__).parents[4] / "docs" / "webhooks.md"
    example = manual.read_text().split("```http\n")[1].split("\n```")[0]
    head, body = example.split("\n\n")
    headers = dict(line.split(": ", 1) for line in head.splitlines())
    timestamp = int(headers["Watchkeep-Signature"].split(",")[0].removeprefix("t="))
    expected = sign("an example secret", UUID(headers["Idempotency-Key"]), timestamp, body.encode())
    assert headers["Watchkeep-Signature"] == expected
    happening = Happening(
        event="opened", problem_id=0, host="", template="", trigger="", name="", parameter="", severity="", value=None,
        opened_at=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    assert json.loads(body).keys() == write_payload(happening).keys()
    assert write_body(json.loads(body)) == body.encode()
