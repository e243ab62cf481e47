"""Structured values: JSON documents (RFC 8259) of bounded size and depth, in one canonical form.

The form: an object or a list, UTF-8, the keys of each object sorted by code point, no blanks, letters as they are,
numbers as the shortest digits that read back the same. So equal documents have equal bytes, wherever they are compared.
"""

from __future__ import annotations

import json
from typing import Any, Final

MAX_STRUCTURED_BYTES: Final = 65_536
MAX_STRUCTURED_DEPTH: Final = 16
_MAX_WHOLE: Final = 1 << 63


class StructuredError(ValueError):
    """What should be a structured value is none; the message says why."""


def canonical(text: str) -> str:
    """Return the canonical form of a document given as JSON text. Raises StructuredError."""
    if len(text) > MAX_STRUCTURED_BYTES:
        raise StructuredError(f"a JSON document of {len(text)} letters exceeds the limit of {MAX_STRUCTURED_BYTES}")
    try:
        document = json.loads(text, object_pairs_hook=_object)
    except RecursionError:
        raise StructuredError(f"a JSON document is nested deeper than {MAX_STRUCTURED_DEPTH}") from None
    except StructuredError:
        raise
    except ValueError as error:
        raise StructuredError(f"{text.strip()[:60]!r} is no JSON document: {error}") from error
    return canonical_of(document)


def canonical_of(document: Any) -> str:
    """Return the canonical form of a document read already. Raises StructuredError."""
    if not isinstance(document, dict | list):
        raise StructuredError(f"expected a JSON object or list, found {document!r:.60}")
    _check_parts(document)
    try:
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        size = len(text.encode())
    except UnicodeEncodeError:
        raise StructuredError("a text of a JSON document holds half of a surrogate pair") from None
    except (ValueError, TypeError) as error:
        raise StructuredError(f"a JSON document holds what JSON has not: {error}") from error
    if size > MAX_STRUCTURED_BYTES:
        raise StructuredError(f"a JSON document of {size} bytes exceeds the limit of {MAX_STRUCTURED_BYTES}")
    return text


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise StructuredError("an object of a JSON document has a key twice")
    return found


def _check_parts(document: Any) -> None:
    waiting = [(document, 1)]
    while waiting:
        part, depth = waiting.pop()
        if isinstance(part, dict | list):
            if depth > MAX_STRUCTURED_DEPTH:
                raise StructuredError(f"a JSON document is nested deeper than {MAX_STRUCTURED_DEPTH}")
            waiting += [(each, depth + 1) for each in (part.values() if isinstance(part, dict) else part)]
        elif isinstance(part, int) and not -_MAX_WHOLE <= part < _MAX_WHOLE:
            raise StructuredError("a whole number of a JSON document exceeds 64 bits")
