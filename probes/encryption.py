"""TLS for probes that need it; an agent without such a probe never loads OpenSSL (see agent/lean.py)."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

from probes.declaration import ProbeFailedError
from probes.reaching import Unreachable

if TYPE_CHECKING:
    import socket
    import ssl

    from probes.reaching import Deadline

_allowing = threading.Lock()


def wrap(
    connection: socket.socket, server_name: str, deadline: Deadline, *, is_verified: bool, ca_file: str | None = None
) -> ssl.SSLSocket:
    """Make a connection an encrypted one; on failure it is closed. Raises Unreachable, Untrusted; blocks.

    Raises ProbeFailedError when the file of certificates cannot be read.
    """
    _allow()
    import ssl  # noqa: PLC0415 - 4 MiB, and most agents do without

    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        connection.close()
        raise ProbeFailedError(f"{ca_file} is no file of certificates: {error.strerror or error}") from error
    if not is_verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    try:
        connection.settimeout(deadline.left_seconds())
        return context.wrap_socket(connection, server_hostname=server_name)
    except ssl.SSLCertVerificationError as error:
        connection.close()
        raise Untrusted(f"the certificate is not trusted: {error.verify_message}") from error
    except TimeoutError:
        connection.close()
        raise deadline.passed() from None
    except (OSError, ValueError) as error:
        connection.close()
        raise Unreachable(f"no TLS: {explain(error)}") from error
    except Unreachable:
        connection.close()
        raise


class Untrusted(Unreachable):
    """The other machine's certificate does not prove what it should."""


def explain(error: Exception) -> str:
    """Return an error in words, without the places in OpenSSL's source."""
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(reason).replace("_", " ").lower() if isinstance(getattr(error, "reason", None), str) else str(reason)


def _allow() -> None:
    """Let the module ssl be imported, though the agent began by keeping it out. Under a lock: probes run in threads."""
    with _allowing:
        if sys.modules.get("ssl", sys) is None:
            del sys.modules["ssl"]
