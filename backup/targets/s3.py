"""A bucket of S3 as a target: Amazon's, or any server that speaks its API."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from backup.errors import ConfigInvalid, ObjectMissing, TargetAway, TargetDiffers, TargetFull, TargetRefused
from backup.targets.contract import Stat
from backup.targets.paced import open_to_send
from backup.targets.secret import first_line

try:
    from boto3.exceptions import S3UploadFailedError
    from boto3.s3.transfer import TransferConfig
    from boto3.session import Session
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError
except ModuleNotFoundError as missing:
    raise ConfigInvalid("targets of kind 's3' need a library: pip install 'watchkeep[s3]'") from missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from backup.errors import BackupError
    from backup.settings.target import TargetSettings

PART_BYTES = 16 << 20  # whole MiB: files of this size and more are sent in parts of it; S3 takes 5 MiB and more
_ETAG_OF_PARTS: Final = re.compile(r"[0-9a-f]{32}-([0-9]{1,5})")
_PIECE_BYTES: Final = 1 << 20
_ATTEMPTS: Final = 3
_HERE: Final = "us-east-1"  # Amazon's first region, whose buckets are made without naming it
_FULL_CODES: Final = frozenset({"QuotaExceeded", "InsufficientStorage", "EntityTooLarge", "XMinioStorageFull"})
_FULL: Final = frozenset({413, 507})
_PATH_STYLE: Final = Path(__file__).with_name("path_style.config")  # there is no variable for that


class S3Target:
    """Objects of one bucket; a folder is what stands before a slash."""

    def __init__(self, settings: TargetSettings) -> None:
        """Read the key file; connects at the first call. Raises ConfigInvalid."""
        if settings.bucket is None or settings.user is None or settings.key_file is None:
            raise ConfigInvalid(f"target {settings.name!r} lacks settings of an S3")
        self.name = settings.name
        self._bucket, self._user, self._key = settings.bucket, settings.user, first_line(settings.key_file)
        self._endpoint, self._region = settings.endpoint_url, settings.region
        self._upload_limit = settings.upload_limit
        self._is_path_style = settings.path_style
        seconds = settings.timeout.total_seconds()
        self._s3: Any = Session().client(
            "s3",
            endpoint_url=self._endpoint,
            region_name=self._region or _HERE,
            aws_access_key_id=self._user,
            aws_secret_access_key=self._key,
            config=Config(
                connect_timeout=seconds,
                read_timeout=seconds,
                retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"},
                # Sums in trailers are Amazon's; others refuse them. What we write and read is compared by ourselves.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                s3={"addressing_style": "path" if self._is_path_style else "auto"},
            ),
        )

    def reach(self) -> None:
        """Return when S3 knows us and the bucket is there; makes it when it is missing."""
        try:
            self._ask("", lambda: self._s3.head_bucket(Bucket=self._bucket))
        except ObjectMissing:
            place = {} if self._region in (None, _HERE) else {
                "CreateBucketConfiguration": {"LocationConstraint": self._region}
            }  # fmt: skip
            self._ask("", lambda: self._s3.create_bucket(Bucket=self._bucket, **place))

    def room(self) -> int | None:
        """Return None: S3 has no word for it."""
        return None

    def files(self, folder: str) -> Mapping[str, int]:
        """Return the objects directly in a folder: name to bytes."""
        prefix = f"{folder}/"
        return {
            str(entry["Key"])[len(prefix) :]: int(entry["Size"])
            for page in self._listing(prefix)
            for entry in page.get("Contents", ())
            if entry["Key"] != prefix
        }

    def folders(self, folder: str) -> list[str]:
        """Return the names of the folders directly in a folder, sorted."""
        prefix = f"{folder}/" if folder else ""
        return sorted(
            str(entry["Prefix"])[len(prefix) : -1]
            for page in self._listing(prefix)
            for entry in page.get("CommonPrefixes", ())
        )

    def stat(self, name: str) -> Stat:
        """Return an object's size, MD5 (its ETag; of parts, as we and duplicity send them) and when it was put."""
        found = self._ask(name, lambda: self._s3.head_object(Bucket=self._bucket, Key=name))
        etag = str(found.get("ETag", "")).strip('"')
        size = int(found["ContentLength"])
        is_of_parts = (match := _ETAG_OF_PARTS.fullmatch(etag)) is not None and int(match[1]) == -(-size // PART_BYTES)
        is_md5 = (len(etag) == 32 or is_of_parts) and found.get("ServerSideEncryption") in (None, "AES256")
        return Stat(
            size_bytes=size,
            md5=etag if is_md5 else None,
            part_bytes=PART_BYTES if is_of_parts else None,
            changed_at=found.get("LastModified"),
        )

    def read(self, name: str) -> Iterator[bytes]:
        """Yield an object's bytes; one that is cut short on its way raises TargetAway."""
        found = self._ask(name, lambda: self._s3.get_object(Bucket=self._bucket, Key=name))
        expected, got = int(found["ContentLength"]), 0
        try:
            with found["Body"] as body:
                while piece := body.read(_PIECE_BYTES):
                    got += len(piece)
                    yield piece
        except (BotoCoreError, OSError) as error:
            raise self._fault(error, name) from error
        if got != expected:
            raise TargetAway(f"{self._place(name)}: {got} of {expected} bytes came")

    def write(self, name: str, data: bytes) -> None:
        """Put an object and look whether it is there as it was sent: a lost PUT does not pass."""
        digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
        self._ask(name, lambda: self._s3.put_object(Bucket=self._bucket, Key=name, Body=data))
        found = self.stat(name)
        if found.size_bytes != len(data) or found.md5 not in (None, digest):
            raise TargetDiffers(f"{self._place(name)} is not what was sent")

    def put(self, name: str, file: Path) -> None:
        """Put a file, in parts when it is large."""
        # Parts side by side would each be limited for themselves.
        one = TransferConfig(multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, use_threads=False)
        with open_to_send(file, self._upload_limit) as content:
            self._ask(name, lambda: self._s3.upload_fileobj(content, self._bucket, name, Config=one))

    def url(self, folder: str) -> str:
        """Return duplicity's name of a folder of the bucket."""
        return f"boto3+s3://{self._bucket}/{folder}"

    def options(self) -> Sequence[str]:
        """Return where S3 is, and what is sent in parts of which size: else its ETags would tell us nothing."""
        endpoint = [] if self._endpoint is None else [f"--s3-endpoint-url={self._endpoint}"]
        one = [] if self._upload_limit is None else ["--s3-multipart-max-procs=1"]
        parts = f"--s3-multipart-chunk-size={PART_BYTES >> 20}"
        return (*endpoint, f"--s3-region-name={self._region or _HERE}", parts, *one)

    def environment(self) -> Mapping[str, str]:
        """Return the credentials, and that no others are looked for, in files or on the network."""
        return {
            "AWS_ACCESS_KEY_ID": self._user,
            "AWS_SECRET_ACCESS_KEY": self._key,
            "AWS_CONFIG_FILE": str(_PATH_STYLE) if self._is_path_style else "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_RETRY_MODE": "standard",
            "AWS_MAX_ATTEMPTS": str(_ATTEMPTS),
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
            "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        }

    def close(self) -> None:
        """Let connections go."""
        self._s3.close()

    def _listing(self, prefix: str) -> list[dict[str, Any]]:
        pages = self._s3.get_paginator("list_objects_v2")
        try:
            return list(
                self._ask(prefix, lambda: list(pages.paginate(Bucket=self._bucket, Prefix=prefix, Delimiter="/")))
            )
        except ObjectMissing:
            return []

    def _place(self, name: str) -> str:
        return f"{self._endpoint or 's3'} {self._bucket}/{name}".rstrip("/")

    def _ask(self, name: str, question: Callable[[], Any]) -> Any:
        try:
            return question()
        except S3UploadFailedError as error:  # what it met is the cause, or told in words only
            raise self._fault(error.__cause__ or error.__context__ or error, name) from error
        except (ClientError, BotoCoreError, OSError) as error:
            raise self._fault(error, name) from error

    def _fault(self, error: BaseException, name: str) -> BackupError:
        place = self._place(name)
        if not isinstance(error, ClientError):
            return TargetAway(f"{place}: {error}")
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        code = str(error.response.get("Error", {}).get("Code", ""))
        if status in _FULL or code in _FULL_CODES:
            return TargetFull(f"{place}: no room, {code or status}; is there a quota?")
        if status == 404:
            return ObjectMissing(f"{place} is not there")
        if code == "RequestTimeTooSkewed":
            return TargetRefused(f"{place}: the clock here and there differ too much; set this machine's clock")
        if status in (301, 400):
            return TargetRefused(f"{place}: refused with {code or status}; are endpoint_url, region and bucket right?")
        if 400 < status < 500:
            return TargetRefused(f"{place}: refused with {code or status}; are user, key and rights right?")
        return TargetAway(f"{place}: S3 answered {code or status}")


class DeletingS3(S3Target):
    """Objects of one bucket, for the pruner. In a versioned bucket a version stays until the bucket's rules end it."""

    def delete(self, name: str) -> None:
        """Remove an object; one that is not there is no error."""
        try:
            self._ask(name, lambda: self._s3.delete_object(Bucket=self._bucket, Key=name))
        except ObjectMissing:
            return
