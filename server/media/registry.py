"""Every medium there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from server.media import email, webhook

if TYPE_CHECKING:
    from server.media.contract import Medium

MEDIA: Final[tuple[Medium[Any], ...]] = (webhook.MEDIUM, email.MEDIUM)

BY_NAME: Final[dict[str, Medium[Any]]] = {medium.name: medium for medium in MEDIA}
