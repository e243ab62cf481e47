"""Asks devices by SNMP over pysnmp: one engine and one socket for all devices of the same credentials.

The low-level command generators are used without looking names up in MIBs, which would cost more than the request.
"""

from __future__ import annotations

import asyncio
import ipaddress
from typing import TYPE_CHECKING, Any, Final

from pyasn1.type import univ
from pysnmp.entity.rfc3413 import cmdgen
from pysnmp.error import PySnmpError
from pysnmp.hlapi.v3arch import asyncio as hlapi
from pysnmp.hlapi.v3arch.asyncio.lcd import CommandGeneratorLcdConfigurator
from pysnmp.proto import errind, rfc1902, rfc1905

from probes.declaration import ProbeFailedError, SilentError
from probes.snmp.oid import is_below

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from probes.device import DeviceVisit, SnmpAccess
    from probes.snmp.oid import Oid, Value

_MOST_ROWS: Final = 4096
_MOST_BINDINGS: Final = 60  # in one answer: more does not fit into a datagram, and the device would cut it
_AUTH: Final = {
    "md5": hlapi.USM_AUTH_HMAC96_MD5,
    "sha": hlapi.USM_AUTH_HMAC96_SHA,
    "sha224": hlapi.USM_AUTH_HMAC128_SHA224,
    "sha256": hlapi.USM_AUTH_HMAC192_SHA256,
    "sha384": hlapi.USM_AUTH_HMAC256_SHA384,
    "sha512": hlapi.USM_AUTH_HMAC384_SHA512,
}
_PRIVACY: Final = {
    "des": hlapi.USM_PRIV_CBC56_DES,
    "aes": hlapi.USM_PRIV_CFB128_AES,
    "aes192": hlapi.USM_PRIV_CFB192_AES,
    "aes256": hlapi.USM_PRIV_CFB256_AES,
}
_NOTHING: Final = (rfc1905.NoSuchObject, rfc1905.NoSuchInstance, rfc1905.EndOfMibView)
_lcd: Final = CommandGeneratorLcdConfigurator()
_null: Final = univ.Null("")


class Engines:
    """The engines of one poller, by credentials: engines keep users by name, which differ from device to device."""

    def __init__(self) -> None:
        self._engines: dict[tuple[Any, ...], tuple[Any, Any]] = {}

    def engine(self, credentials: tuple[Any, ...], make: Callable[[], Any]) -> tuple[Any, Any]:
        """Return the engine for these credentials and the credentials in its own form."""
        found = self._engines.get(credentials)
        if found is None:
            found = self._engines[credentials] = (hlapi.SnmpEngine(), make())
        return found

    def close(self) -> None:
        """Close every socket."""
        for engine, _ in self._engines.values():
            engine.close_dispatcher()
        self._engines.clear()


class Session:
    """Questions to one device, within one visit."""

    def __init__(self, engine: Any, name: str, contact: str, seconds: float) -> None:
        self._engine = engine
        self._name = name
        self._contact = contact
        self._seconds = seconds

    async def get(self, oids: Sequence[Oid]) -> list[Value]:
        """Return the objects' values, None for those the device does not have. Raises SilentError, ProbeFailedError."""
        answer = await self._ask(cmdgen.GetCommandGenerator(), [(oid, _null) for oid in oids])
        return [_value(value) for _, value in answer]

    async def walk(self, columns: Sequence[Oid]) -> dict[Oid, dict[Oid, Value]]:
        """Return a table: by index, the values by column. Asked in bulk, all columns side by side.

        Raises as `get`; ProbeFailedError too for a table of more than 4,096 rows.
        """
        table: dict[Oid, dict[Oid, Value]] = {}
        cursors: dict[Oid, Oid] = {column: column for column in columns}
        while cursors:
            open_columns = list(cursors)
            rows = max(1, _MOST_BINDINGS // len(open_columns))
            asked = [(cursor, _null) for cursor in cursors.values()]
            answer = await self._ask(cmdgen.BulkCommandGenerator(), asked, 0, rows)
            if not answer:
                break
            for place, (oid, value) in enumerate(answer):
                column = open_columns[place % len(open_columns)]
                if column not in cursors:
                    continue
                found = tuple(oid)
                if isinstance(value, _NOTHING) or not is_below(found, column) or found <= cursors[column]:
                    del cursors[column]
                    continue
                cursors[column] = found
                table.setdefault(found[len(column) :], {})[column] = _value(value)
            if len(table) > _MOST_ROWS:
                raise ProbeFailedError(f"{self._contact}: a table of more than {_MOST_ROWS} rows is not read")
        return table

    async def _ask(self, generator: Any, bindings: Iterable[Any], *bulk: int) -> list[Any]:
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()

        def answered(
            _engine: Any, _handle: Any, indication: Any, status: Any, index: Any, found: Any, _context: Any
        ) -> None:
            if future.done():
                return
            if indication:
                future.set_exception(self._fault(indication))
            elif status:
                place = f" at object {int(index)}" if index else ""
                future.set_exception(ProbeFailedError(f"{self._contact} answers {status.prettyPrint()}{place}"))
            else:
                future.set_result(found)

        arguments = (self._engine, self._name, None, b"", *bulk, list(bindings), answered)
        try:
            generator.send_varbinds(*arguments)
        except PySnmpError as error:
            raise ProbeFailedError(f"{self._contact} cannot be asked: {error}") from error
        return await future

    def _fault(self, indication: Any) -> ProbeFailedError:
        if isinstance(indication, errind.RequestTimedOut):
            return SilentError(
                f"no answer from {self._contact} within {self._seconds:g} s: check address, port and credentials"
            )
        return ProbeFailedError(f"{self._contact} refuses: {indication}")


async def open_session(visit: DeviceVisit) -> Session:
    """Return a session with the visited device. Raises ProbeFailedError saying what is missing."""
    device, access = visit.device, visit.device.snmp
    if access is None:
        raise ProbeFailedError("the host's definition has no `polling.snmp`")
    credentials, make = _credentials(visit, access)
    engine, auth = visit.shared.get(Engines).engine(credentials, make)
    kind = hlapi.Udp6TransportTarget if _is_ipv6(device.address) else hlapi.UdpTransportTarget
    try:
        target = await kind.create((device.address, access.port), timeout=access.timeout_seconds, retries=visit.retries)
        name, _ = _lcd.configure(engine, auth, target, b"")
    except PySnmpError as error:
        raise SilentError(f"{device.address} cannot be asked: {error}") from error
    contact = f"{device.address} port {access.port} (SNMP)"
    return Session(engine, name, contact, access.timeout_seconds * (1 + visit.retries))


def _credentials(visit: DeviceVisit, access: SnmpAccess) -> tuple[tuple[Any, ...], Callable[[], Any]]:
    if access.version == "2c":
        community = visit.secret(access.community_file or "")
        # S508: the definition says so; many devices know nothing better.
        return ("2c", community), lambda: hlapi.CommunityData(community, mpModel=1)  # noqa: S508
    user = access.user or ""
    password, privacy = visit.secret(access.auth_file or ""), visit.secret(access.privacy_file or "")
    if min(len(password), len(privacy)) < 8:  # RFC 3414, 11.2
        raise ProbeFailedError("passwords of SNMP version 3 have at least 8 letters")

    def make() -> Any:
        return hlapi.UsmUserData(
            user,
            authKey=password,
            privKey=privacy,
            authProtocol=_AUTH[access.auth_protocol],
            privProtocol=_PRIVACY[access.privacy_protocol],
        )

    return ("3", user, access.auth_protocol, password, access.privacy_protocol, privacy), make


def _is_ipv6(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).version == 6
    except ValueError:
        return False


def _value(found: Any) -> Value:
    if isinstance(found, (*_NOTHING, univ.Null)):
        return None
    if isinstance(found, rfc1902.IpAddress):
        return str(found.prettyPrint())
    if isinstance(found, univ.Integer):
        return float(int(found))
    if isinstance(found, univ.ObjectIdentifier):
        return str(found)
    content = bytes(found)
    try:
        text = content.decode().rstrip("\0")
    except UnicodeDecodeError:
        return content.hex(":")
    return text if text.isprintable() or text.replace("\n", "").replace("\r", "").isprintable() else content.hex(":")
