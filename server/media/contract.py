"""What a medium is: a name, its settings, and a way to send one notice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from uuid import UUID


class MediumSettings(BaseModel):
    """Base of what a receiver says about a medium: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


SettingsT_contra = TypeVar("SettingsT_contra", bound=MediumSettings, contravariant=True)
SettingsT = TypeVar("SettingsT", bound=MediumSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One notice as it is sent. `key` is the same at every attempt, and so is `payload`."""

    key: UUID
    payload: Mapping[str, Any]


class SendFailed(Exception):
    """The attempt told nobody, as far as we know; another may. `retry_seconds` is the receiver's own wish."""

    def __init__(self, reason: str, *, retry_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.retry_seconds = retry_seconds


class SendRefused(Exception):
    """The receiver understood the notice and will never take it: another attempt is useless."""


class Send(Protocol[SettingsT_contra]):
    """Tells one receiver.

    Returns what the receiver answered, in few words, once it has taken the notice. Raises SendFailed or SendRefused.
    Safe to cancel; the caller sets the timeout. `secrets` is the folder of secret files.
    """

    async def __call__(self, settings: SettingsT_contra, message: Message, secrets: Path) -> str: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class Medium(Generic[SettingsT]):
    """A medium's declaration; `name` is its key in a receiver's definition.

    `attempt_seconds` is what an attempt may take where that is longer than usual.
    """

    name: str
    settings: type[SettingsT]
    send: Send[SettingsT]
    attempt_seconds: float = 0.0
