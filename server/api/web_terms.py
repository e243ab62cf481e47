"""How the web port behaves."""

from __future__ import annotations

from dataclasses import dataclass, field

from server.api.login_limit import LoginTerms


@dataclass(frozen=True, slots=True, kw_only=True)
class WebTerms:
    """How the web port behaves."""

    is_https: bool = False  # served under TLS, or by a proxy that ends it: cookies become Secure, HSTS is sent
    max_body_bytes: int = 4 << 20
    max_streams: int = 64
    session_idle_seconds: int = 12 * 3600
    session_seconds: int = 7 * 24 * 3600
    login: LoginTerms = field(default_factory=LoginTerms)
