"""What backup.toml says of verification: `[verification]` at a restore station."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Literal

from backup.schedule import check_schedule
from backup.settings.checks import check_share
from core.config.reader import setting

FOLDER: Final = "verifications"
"""Below a station's `state`: how the verifications of each set went."""
STEPS: Final = ("stored", "sampled", "read", "decrypted")
"""The depths there are, each of which includes those before it; "sampled" is a share of what "read" reads."""


def step_of(depth: str, *, is_sampled: bool) -> str:
    """Return which of STEPS a verification is."""
    return "sampled" if is_sampled else depth


@dataclass(frozen=True, kw_only=True)
class VerificationSettings:
    """When the station's agent looks whether what lies at the targets is what was sent there, and how deep."""

    schedule: str = field(
        default="never",
        metadata=setting(
            "when each set is verified, at all of its targets, that has no `verify` of its own: as `schedule` of a set",
            example='"weekly saturday 05:00"',
            check=check_schedule,
        ),
    )
    depth: Literal["stored", "read", "decrypted"] = field(
        default="read", metadata=setting("how deep to look, as `bkp verify --depth`")
    )
    sample: str | None = field(
        default=None,
        metadata=setting(
            "with depth read: read only this share of the files each time, in turn; none: all", example='"10%"',
            check=check_share,
        ),
    )  # fmt: skip
    time_limit: timedelta = field(default=timedelta(hours=12), metadata=setting("how long one may take", minimum=1))

    def __post_init__(self) -> None:
        if self.sample is not None and self.depth != "read":
            raise ValueError('sample: files are read only with depth = "read"')

    @property
    def step(self) -> str:
        """Which of STEPS is wanted."""
        return step_of(self.depth, is_sampled=self.sample is not None)
