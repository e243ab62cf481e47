"""What backup.toml says of keys: where they are, and who can decrypt."""

from dataclasses import dataclass, field
from pathlib import Path

from backup.settings.checks import check_fingerprints
from core.config.reader import setting


@dataclass(frozen=True, kw_only=True)
class KeySettings:
    """Where the keys are. A host has `host` only; a restore station `station` only; they are never the same folder."""

    host: Path = field(
        default=Path("keys/host"),
        metadata=setting("the host's key folder: its signing pair and public encryption keys"),
    )
    host_passphrase_file: Path = field(
        default=Path("keys/host.passphrase"), metadata=setting("file whose first line opens the signing key")
    )
    station: Path | None = field(
        default=None,
        metadata=setting(
            "the restore station's key folder: decryption pairs and the hosts' public keys; never on a host",
            example='"keys/station"',
        ),
    )
    station_passphrase_file: Path = field(
        default=Path("keys/station.passphrase"), metadata=setting("file whose first line opens the decryption key")
    )
    recipients: tuple[str, ...] = field(
        default=(),
        metadata=setting(
            "fingerprints of the encryption keys to encrypt to; none: every one in the host's key folder",
            check=check_fingerprints,
        ),
    )
