"""Settings every part with a link upwards has: where the collectors are, and whose keys they must have."""

from dataclasses import dataclass, field

from core.config.reader import setting
from core.security.keys import KeyFault, read_public


def check_endpoint(text: str) -> str | None:
    """Return what is wrong with an endpoint; None when it is tcp://HOST:PORT."""
    host, _, port = text.removeprefix("tcp://").rpartition(":")
    if text.startswith("tcp://") and host and port.isascii() and port.isdigit() and 0 < int(port) < 65_536:
        return None
    return f'expected "tcp://HOST:PORT", found "{text}"'


def check_key(text: str) -> str | None:
    """Return what is wrong with a public key's text; None when it is one."""
    try:
        read_public(text)
    except KeyFault as error:
        return f"expected a public key of 40 letters: {error}"
    return None


def check_some(upstreams: tuple[object, ...]) -> str | None:
    """Return what is wrong with the list of upstreams; None when there is one at least."""
    return None if upstreams else "expected at least one upstream"


@dataclass(frozen=True, kw_only=True)
class UpstreamSettings:
    """A collector this part may deliver to."""

    endpoint: str = field(metadata=setting("control port", example='"tcp://proxy1.example:7701"', check=check_endpoint))
    key: str = field(
        metadata=setting("public key", example='"rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"', check=check_key)
    )
