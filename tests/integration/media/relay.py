"""A real SMTP relay with a certificate of its own making: it takes mails, and refuses or fails when told to."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, cast

from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from email.message import EmailMessage
    from pathlib import Path

    from aiosmtpd.smtp import Envelope, Session

USER, PASSWORD = "watchkeep", "tell nobody"


@dataclass
class Relay:
    """`answers` are used up one a mail at DATA; `refused` is answered to recipients by their address."""

    folder: Path
    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)

    # The names of the hooks are aiosmtpd's.
    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        del server, session, options
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        del server, session
        content = cast("bytes", envelope.content)
        self.mails.append(message_from_bytes(content, policy=default))
        self.recipients.append(list(envelope.rcpt_tos))
        return self.answers.pop(0) if self.answers else "250 taken"

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        del server, session, envelope, mechanism
        is_right = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        self.users.append(data.login.decode())
        return AuthResult(success=is_right, handled=False)


@asynccontextmanager
async def open_relay(folder: Path, security: str = "starttls") -> AsyncIterator[Relay]:
    """Serve on a free loopback port; the folder gets the certificate `relay-ca.pem` and the file `smtp.password`."""
    relay = Relay(folder)
    context = _make_certificate(folder)
    (folder / "smtp.password").write_text(PASSWORD + "\n")

    made: list[SMTP] = []

    def make() -> SMTP:
        session = SMTP(
            relay,
            hostname="relay.example",
            tls_context=context if security == "starttls" else None,
            require_starttls=security == "starttls",
            authenticator=relay.authenticate,
            auth_required=security == "starttls",
            auth_require_tls=security == "starttls",
        )
        made.append(session)
        return session

    loop = asyncio.get_running_loop()
    server = await loop.create_server(make, "127.0.0.1", 0, ssl=context if security == "tls" else None)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()
        for session in made:
            if session.transport is not None:
                cast("asyncio.WriteTransport", session.transport).abort()
        await server.wait_closed()  # with the connections: a server waits for those that are open
        await until(lambda: all(session.transport is None for session in made), what="the end of the connections")


def _make_certificate(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "relay.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("localhost")]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    (folder / "relay-ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file = folder / "relay-key.pem"
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "relay-ca.pem", key_file)
    return context
