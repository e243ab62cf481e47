"""Reads what matters of an X.509 certificate (RFC 5280, in DER: X.690), without a library that weighs megabytes."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_VERSION, _EXTENSIONS = 0xA0, 0xA3
_DNS_NAME, _IP_ADDRESS = 0x82, 0x87
_ALTERNATIVE_NAMES: Final = bytes.fromhex("551d11")
_ATTRIBUTES: Final = {bytes.fromhex("550403"): "CN", bytes.fromhex("55040a"): "O", bytes.fromhex("550406"): "C"}
_MOST_NAMES: Final = 100


class MalformedCertificate(ValueError):
    """The bytes are no certificate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """`names` are what it is good for: names and addresses, or the subject's common name where it lists none."""

    not_before: datetime
    not_after: datetime
    issuer: str
    subject: str
    names: tuple[str, ...]


class _Element(NamedTuple):
    tag: int
    content: bytes


def read_certificate(der: bytes) -> Certificate:
    """Read a certificate. Raises MalformedCertificate. Nothing is verified: that is OpenSSL's business."""
    try:
        signed = list(_elements(next(_elements(next(_elements(der)).content)).content))
        fields = signed[1:] if signed[0].tag == _VERSION else signed
        _, _, issuer, validity, subject, *rest = fields
        not_before, not_after = (_instant(element) for element in _elements(validity.content))
        extensions = next((element.content for element in rest if element.tag == _EXTENSIONS), b"")
        shown = dict(_attributes(subject))
        names = tuple(_alternative_names(extensions)) or tuple(filter(None, [shown.get("CN")]))
        return Certificate(
            not_before=not_before,
            not_after=not_after,
            issuer=_show(issuer),
            subject=_show(subject),
            names=names[:_MOST_NAMES],
        )
    except (ValueError, IndexError, StopIteration) as error:
        raise MalformedCertificate(f"the certificate cannot be read: {error}") from error


def _elements(data: bytes) -> Iterator[_Element]:
    """Yield the elements that `data` is made of; long tags do not occur in certificates."""
    at = 0
    while at < len(data):
        tag, length, at = data[at], data[at + 1], at + 2
        if length & 0x80:
            count = length & 0x7F
            if not 1 <= count <= 4:
                raise ValueError("a length of another form")
            length, at = int.from_bytes(data[at : at + count], "big"), at + count
        if at + length > len(data):
            raise ValueError("an element longer than what holds it")
        yield _Element(tag, data[at : at + length])
        at += length


def _instant(element: _Element) -> datetime:
    text = element.content.decode("ascii")
    if element.tag == _UTC_TIME:
        text = ("19" if int(text[:2]) >= 50 else "20") + text  # RFC 5280, 4.1.2.5.1
    elif element.tag != _GENERALIZED_TIME:
        raise ValueError("a time of another form")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _attributes(name: _Element) -> Iterator[tuple[str, str]]:
    for attributes in _elements(name.content):
        for attribute in _elements(attributes.content):
            kind, value = list(_elements(attribute.content))[:2]
            if kind.content in _ATTRIBUTES:
                # A BMPString has two bytes a letter, the usual kinds are UTF-8 or a part of it.
                encoding = "utf-16-be" if value.tag == 0x1E else "utf-8"
                yield _ATTRIBUTES[kind.content], value.content.decode(encoding, errors="replace")


def _show(name: _Element) -> str:
    return ", ".join(f"{kind}={value}" for kind, value in _attributes(name))


def _alternative_names(extensions: bytes) -> Iterator[str]:
    for held in _elements(extensions):
        for extension in _elements(held.content):
            kind, *_, value = _elements(extension.content)
            if kind.content != _ALTERNATIVE_NAMES:
                continue
            for listed in _elements(value.content):
                for name in _elements(listed.content):
                    if name.tag == _DNS_NAME:
                        yield name.content.decode("ascii", errors="replace")
                    elif name.tag == _IP_ADDRESS:
                        family = socket.AF_INET if len(name.content) == 4 else socket.AF_INET6
                        yield socket.inet_ntop(family, name.content)
