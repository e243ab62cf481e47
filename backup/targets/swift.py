"""A container of OpenStack Swift as a target."""

from __future__ import annotations

import hashlib
import io
import logging
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from swiftclient import client

from backup.errors import (
    ConfigInvalid,
    ObjectMissing,
    TargetAway,
    TargetDiffers,
    TargetFull,
    TargetRefused,
)
from backup.targets.contract import Stat
from backup.targets.paced import open_to_send
from backup.targets.swift_login import SignInFailed, explain, read_login

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from backup.errors import (
        BackupError,
    )
    from backup.settings.target import TargetSettings

_PIECE_BYTES: Final = 1 << 20
_RETRIES: Final = 2  # of a request that met no answer or a 5xx; the whole stays below a minute at the usual timeout
_NOT_FOUND: Final = 404
_REFUSED: Final = frozenset({401, 403, 405})
_FULL: Final = frozenset({413, 507})
_TROUBLES: Final = (client.ClientException, SignInFailed, OSError)

# swiftclient logs whole requests, the token among them, and every 404 it was asked about.
logging.getLogger("swiftclient").setLevel(logging.CRITICAL)


class SwiftTarget:
    """Objects of one container; a folder is what stands before a slash."""

    def __init__(self, settings: TargetSettings) -> None:
        """Read the key file; connects at the first call. Raises ConfigInvalid."""
        if settings.container is None:
            raise ConfigInvalid(f"target {settings.name!r} lacks settings of a Swift")
        self.name = settings.name
        self._container = settings.container
        self._upload_limit = settings.upload_limit
        self._login = read_login(settings)
        seconds = settings.timeout.total_seconds()
        self._connection = client.Connection(
            **self._login.arguments(seconds),
            timeout=seconds,
            retries=_RETRIES,
            starting_backoff=0.5,
            max_backoff=2,
        )

    def reach(self) -> None:
        """Return when Swift knows us and the container is there; makes it when it is missing."""
        try:
            self._ask("", lambda swift: swift.head_container(self._container))
        except ObjectMissing:
            self._ask("", lambda swift: swift.put_container(self._container))

    def room(self) -> int | None:
        """Return what the quotas of container and account leave; None when there is none, or none that is told."""
        headers = [self._ask("", lambda swift: swift.head_container(self._container))]
        with suppress(TargetRefused):  # an account is its owner's to look at
            headers.append(self._ask("", lambda swift: swift.head_account()))
        return min((left for each in headers for left in _left(each)), default=None)

    def files(self, folder: str) -> Mapping[str, int]:
        """Return the objects directly in a folder: name to bytes."""
        prefix = f"{folder}/"
        found = self._listing(prefix)
        return {str(entry["name"])[len(prefix) :]: int(entry["bytes"]) for entry in found if "name" in entry}

    def folders(self, folder: str) -> list[str]:
        """Return the names of the folders directly in a folder, sorted."""
        prefix = f"{folder}/" if folder else ""
        found = self._listing(prefix)
        return sorted(str(entry["subdir"])[len(prefix) : -1] for entry in found if "subdir" in entry)

    def stat(self, name: str) -> Stat:
        """Return an object's size, MD5 (its ETag, unless it is a large object of segments) and when it was put."""
        headers = self._ask(name, lambda swift: swift.head_object(self._container, name))
        is_whole = "x-static-large-object" not in headers and "x-object-manifest" not in headers
        etag = str(headers.get("etag", "")).strip('"')
        return Stat(
            size_bytes=int(headers["content-length"]),
            md5=etag if is_whole and etag else None,
            changed_at=_put_at(headers.get("x-timestamp")),
        )

    def read(self, name: str) -> Iterator[bytes]:
        """Yield an object's bytes; one that is cut short on its way raises TargetAway."""
        headers, body = self._ask(
            name, lambda swift: swift.get_object(self._container, name, resp_chunk_size=_PIECE_BYTES)
        )
        expected, got = int(headers["content-length"]), 0
        try:
            for piece in body:
                got += len(piece)
                yield piece
        except _TROUBLES as error:
            raise self._fault(error, name) from error
        if got != expected:
            raise TargetAway(f"{self._container}/{name}: {got} of {expected} bytes came")

    def write(self, name: str, data: bytes) -> None:
        """Put an object and look whether it is there as it was sent: a lost PUT does not pass."""
        digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
        content, size = io.BytesIO(data), len(data)  # plain bytes the library would not try to send again
        etag = self._ask(
            name, lambda swift: swift.put_object(self._container, name, contents=content, content_length=size)
        )
        found = self.stat(name)
        if str(etag).strip('"') != digest or found.size_bytes != len(data) or found.md5 not in (None, digest):
            raise TargetDiffers(f"{self._container}/{name} is not what was sent")

    def put(self, name: str, file: Path) -> None:
        """Put a file as one object."""
        size = file.stat().st_size
        with open_to_send(file, self._upload_limit) as content:
            self._ask(
                name, lambda swift: swift.put_object(self._container, name, contents=content, content_length=size)
            )

    def url(self, folder: str) -> str:
        """Return duplicity's name of a folder of the container."""
        return f"swift://{self._container}/{folder}"

    def options(self) -> Sequence[str]:
        """Return nothing."""
        return ()

    def environment(self) -> Mapping[str, str]:
        """Return the credentials as duplicity's Swift backend reads them."""
        return self._login.environment

    def close(self) -> None:
        """Let the connection go."""
        self._connection.close()

    def _listing(self, prefix: str) -> list[dict[str, Any]]:
        try:
            _, found = self._ask(
                prefix,
                lambda swift: swift.get_container(self._container, prefix=prefix, delimiter="/", full_listing=True),
            )
        except ObjectMissing:
            return []
        return list(found)

    def _ask(self, name: str, question: Callable[[Any], Any]) -> Any:
        try:
            return question(self._connection)
        except _TROUBLES as error:
            raise self._fault(error, name) from error

    def _fault(self, error: Exception, name: str) -> BackupError:
        if isinstance(error, SignInFailed):
            return explain(error, self._login)
        place = f"{self._login.url} {self._container}/{name}".rstrip("/")
        status = getattr(error, "http_status", None)
        if not status:
            return TargetAway(f"{place}: {getattr(error, 'msg', '') or type(error).__name__}")
        if status == _NOT_FOUND:
            return ObjectMissing(f"{place} is not there")
        if status in _REFUSED:
            return TargetRefused(f"{place}: refused with {status}; are user, key and rights right?")
        if status in _FULL:
            return TargetFull(f"{place}: no room, {status}; is there a quota?")
        return TargetAway(f"{place}: Swift answered {status}")


class DeletingSwift(SwiftTarget):
    """Objects of one container, for the pruner."""

    def delete(self, name: str) -> None:
        """Remove an object; one that is not there is no error."""
        try:
            self._ask(name, lambda swift: swift.delete_object(self._container, name))
        except ObjectMissing:
            return


def _left(headers: Mapping[str, str]) -> Iterator[int]:
    """Yield what a quota leaves, by the headers of a container or an account."""
    for kind in ("container", "account"):
        quota, used = headers.get(f"x-{kind}-meta-quota-bytes", ""), headers.get(f"x-{kind}-bytes-used", "")
        if quota.isdecimal() and used.isdecimal():
            yield max(0, int(quota) - int(used))


def _put_at(timestamp: str | None) -> datetime | None:
    """Return when an object was put, by the X-Timestamp Swift says of it (seconds since 1970)."""
    try:
        return None if timestamp is None else datetime.fromtimestamp(float(timestamp), UTC)
    except (ValueError, OverflowError):
        return None
