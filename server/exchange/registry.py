"""The forms there are, by name and by a file's suffix; one that needs a library not installed says so."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from server.exchange.csv_form import CsvEncoder, decode_csv
from server.exchange.json_form import JsonEncoder, decode_json

if TYPE_CHECKING:
    from server.exchange.form import Decoder, Encoder, Kind

FORMS: Final = ("csv", "jsonl", "parquet")
MEDIA: Final = {
    "csv": "text/csv",
    "jsonl": "application/jsonl",
    "parquet": "application/vnd.apache.parquet",
}
GZIP_SUFFIX: Final = ".gz"


class FormUnknown(Exception):
    """No form fits, or its library is not installed; the message says what to do."""


def form_of(name: str) -> str:
    """Return the form that a file's name says, `.gz` behind it or not. Raises FormUnknown."""
    suffix = name.removesuffix(GZIP_SUFFIX).rpartition(".")[2]
    if suffix not in FORMS:
        raise FormUnknown(f"the name {name!r} does not say the form: end it with .csv, .jsonl or .parquet, or name it")
    return suffix


def make_encoder(form: str, kind: Kind) -> Encoder:
    """Begin a file. Raises FormUnknown."""
    if form == "csv":
        return CsvEncoder(kind)
    if form == "jsonl":
        return JsonEncoder()
    _require_pyarrow()
    from server.exchange.parquet_form import ParquetEncoder  # noqa: PLC0415 - only where it is installed

    return ParquetEncoder(kind)


def find_decoder(form: str) -> Decoder:
    """Return what reads files of this form. Raises FormUnknown."""
    if form == "csv":
        return decode_csv
    if form == "jsonl":
        return decode_json
    _require_pyarrow()
    from server.exchange.parquet_form import decode_parquet  # noqa: PLC0415 - only where it is installed

    return decode_parquet


def _require_pyarrow() -> None:
    if find_spec("pyarrow") is None:
        raise FormUnknown("Parquet is not installed here: pip install 'watchkeep[parquet]', or use csv or jsonl")
