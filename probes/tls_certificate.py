"""How long a server's certificate holds, who issued it, what for, and whether it is trusted."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from core.config.reader import setting
from probes.certificate import MalformedCertificate, read_certificate
from probes.declaration import Item, ProbeFailedError, Reading, Visit, probe
from probes.encryption import Untrusted, wrap
from probes.reaching import (
    DEFAULT_TIMEOUT,
    LONGEST_SECONDS,
    Deadline,
    Unreachable,
    check_host,
    check_port,
    check_timeout,
    connect,
    state_reading,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Whose certificate."""

    host: str = field(metadata=setting("name or address of the machine", check=check_host))
    port: int = field(default=443, metadata=setting("port where TLS begins at once", check=check_port))
    server_name: str | None = field(
        default=None, metadata=setting("name the certificate has to be for; left out: the host", check=check_host)
    )
    name: str | None = field(default=None, metadata=setting("name of the service in its items; left out: host:port"))
    ca_file: str | None = field(
        default=None, metadata=setting("file of certificates to trust; left out: those of the system")
    )
    timeout: timedelta = field(
        default=DEFAULT_TIMEOUT, metadata=setting("time for everything together", check=check_timeout)
    )


_ITEMS = (
    Item(
        key="tls.days_left",
        unit="d",
        description="Days until the certificate expires; negative when it has",
        parameter="service",
    ),
    Item(key="tls.trusted", unit="", description="1 when the certificate is trusted, else 0", parameter="service"),
    Item(key="tls.reachable", unit="", description="1 when a certificate was shown, else 0", parameter="service"),
    Item(key="tls.issuer", unit="", description="Who issued the certificate", parameter="service", type="text"),
    Item(key="tls.names", unit="", description="What the certificate is good for", parameter="service", type="text"),
    Item(key="tls.state", unit="", description="ok, or what is wrong", parameter="service", type="text"),
)


@probe("tls.certificate", items=_ITEMS, parameters=Parameters, may_block=True, timeout_seconds=LONGEST_SECONDS + 5)
def read_shown_certificate(visit: Visit, parameters: Parameters) -> "Iterator[Reading]":
    """Shake hands; where the certificate is not trusted, once more to read it all the same.

    That no handshake succeeds is a value, not a failure of the probe. Raises ProbeFailedError for a certificate that
    cannot be read.
    """
    name = parameters.name or f"{parameters.host}:{parameters.port}"
    deadline, problem = Deadline(parameters.timeout), ""
    try:
        try:
            der = _shown(visit, parameters, deadline, is_verified=True)
        except Untrusted as distrust:
            problem = str(distrust)
            der = _shown(visit, parameters, deadline, is_verified=False)
    except Unreachable as silence:
        yield Reading("tls.reachable", 0.0, name)
        yield from state_reading(visit, "tls.state", name, str(silence))
        return
    yield Reading("tls.reachable", 1.0, name)
    yield Reading("tls.trusted", float(not problem), name)
    try:
        certificate = read_certificate(der)
    except MalformedCertificate as error:
        raise ProbeFailedError(f"{name}: {error}") from error
    yield Reading("tls.days_left", (certificate.not_after - datetime.now(UTC)) / timedelta(days=1), name)
    yield from state_reading(visit, "tls.issuer", name, certificate.issuer)
    yield from state_reading(visit, "tls.names", name, " ".join(certificate.names))
    yield from state_reading(visit, "tls.state", name, problem or "ok")


def _shown(visit: Visit, parameters: Parameters, deadline: Deadline, *, is_verified: bool) -> bytes:
    connection = connect(visit, parameters.host, parameters.port, deadline)
    server_name = parameters.server_name or parameters.host
    with wrap(connection, server_name, deadline, is_verified=is_verified, ca_file=parameters.ca_file) as encrypted:
        return encrypted.getpeercert(binary_form=True) or b""
