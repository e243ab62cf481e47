"""What of a PostgreSQL dump belongs to one table; the list is as pg_restore 18 wrote it."""

from __future__ import annotations

import pytest

from backup.errors import NotInBackup
from backup.loading.table_of_contents import part_of, read_contents, split_name

_LISTED = """;
; Archive created at 2026-11-30 06:23:38 UTC
;     TOC Entries: 28
;
2605; 1262 5 DATABASE - postgres postgres
6; 2615 16384 SCHEMA - sales postgres
859; 1247 16386 TYPE sales mood postgres
;	depends on: 6
221; 1259 16390 TABLE public customer postgres
2607; 0 0 COMMENT public TABLE customer postgres
;	depends on: 221
220; 1259 16389 SEQUENCE public customer_id_seq postgres
;	depends on: 221
2608; 0 0 SEQUENCE OWNED BY public customer_id_seq postgres
;	depends on: 220
225; 1259 16417 TABLE public part postgres
226; 1259 16420 TABLE public part1 postgres
;	depends on: 225
224; 1259 16413 VIEW public v postgres
;	depends on: 221 221
223; 1259 16400 TABLE sales Odd Name postgres
;	depends on: 859 6
2438; 0 0 TABLE ATTACH public part1 postgres
;	depends on: 226 225
2439; 2604 16393 DEFAULT public customer id postgres
;	depends on: 220 221 221
2596; 0 16390 TABLE DATA public customer postgres
;	depends on: 221
2599; 0 16420 TABLE DATA public part1 postgres
;	depends on: 226
2598; 0 16400 TABLE DATA sales Odd Name postgres
;	depends on: 223
2609; 0 0 SEQUENCE SET public customer_id_seq postgres
;	depends on: 220
2442; 2606 16398 CONSTRAINT public customer customer_pkey postgres
;	depends on: 221
2440; 1259 16412 INDEX public cn postgres
;	depends on: 221
2446; 2606 16406 FK CONSTRAINT sales Odd Name Odd Name_c_fkey postgres
;	depends on: 221 2442 223
"""


@pytest.mark.parametrize(
    ("table", "numbers", "left_out"),
    [
        ("customer", {221, 2607, 220, 2608, 2439, 2596, 2609, 2442, 2440}, ["view", "fk"]),
        ('sales."Odd Name"', {223, 2598}, ["fk"]),
        ("sales.Odd Name", {223, 2598}, ["fk"]),
        ("public.part", {225, 226, 2438, 2599}, []),
        ("public.part1", {226, 2599}, ["table"]),
    ],
)
def test_a_table_comes_with_what_is_its_own_and_the_rest_is_named(
    table: str, numbers: set[int], left_out: list[str]
) -> None:
    part = part_of(read_contents(_LISTED), [table])
    assert part.numbers == numbers
    assert [words.split()[0] for words in part.left_out] == left_out
    assert [int(line.partition(";")[0]) for line in part.lines] == [
        int(line.partition(";")[0]) for line in _LISTED.splitlines() if line.partition(";")[0] in map(str, numbers)
    ]


def test_a_table_that_is_not_there_is_told_with_those_that_are() -> None:
    for wrong in ("public.custom", "sales.customer", "Name", "v"):
        with pytest.raises(NotInBackup, match=r"public\.customer"):
            part_of(read_contents(_LISTED), [wrong])
    with pytest.raises(NotInBackup, match="no table's name"):
        split_name("")
