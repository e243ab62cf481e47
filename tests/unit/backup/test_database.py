"""Connection strings as people write them, and rows held against what was saved."""

from __future__ import annotations

import pytest

from backup.errors import BackupDamaged, DestinationInUse
from backup.loading.postgresql import read_dsn
from backup.loading.rows import compare_rows


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://anna:s%3Acret@db.example:5433/shop",
        "host=db.example port=5433 user=anna password='s:cret' dbname=shop",
    ],
)
def test_a_connection_string_is_taken_apart_with_its_password_aside(dsn: str) -> None:
    settings, password = read_dsn(dsn)
    assert (settings.host, settings.port, settings.user, settings.database) == ("db.example", 5433, "anna", "shop")
    assert password == "s:cret"
    assert "cret" not in repr(settings)


@pytest.mark.parametrize("dsn", ["", "postgresql://db.example/", "host=x", "postgresql://db:port/shop", "dbname"])
def test_what_is_none_is_refused_without_being_repeated(dsn: str) -> None:
    with pytest.raises(DestinationInUse, match="expected postgresql://"):
        read_dsn(dsn)


def test_a_table_with_other_rows_than_were_saved_is_named_with_both_numbers() -> None:
    with pytest.raises(BackupDamaged, match=r"2 tables, public\.a: 3 rows, saved 4.*public\.c: not there, saved 1"):
        compare_rows({"public.a": 4, "public.b": 2, "public.c": 1}, {"public.a": 3, "public.b": 2})
    compare_rows({"public.a": 4}, {"public.a": 4})
