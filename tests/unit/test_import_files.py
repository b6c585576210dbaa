"""From files to rows and units: CSV, NDJSON and Parquet, in any packing and from any place."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cramjam
import pyarrow
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pyarrow import parquet

from services.ingest.history import grouping
from services.ingest.history.batches import units
from services.ingest.history.files.csvfile import sniff
from services.ingest.history.files.reading import open_rows
from services.ingest.history.grouping import Recent
from services.ingest.history.model import Mapping, Row, Unit, Unread, Unusable

CSV = 'id,name,note\n1,Ada,"one\ntwo, ""three"""\n2,Bob,\n\n3,Cy,x\n'
ROWS = [
    (2, {"id": "1", "name": "Ada", "note": 'one\ntwo, "three"'}),
    (4, {"id": "2", "name": "Bob", "note": None}),
    (6, {"id": "3", "name": "Cy", "note": "x"}),
]


def read(path: Path, mapping: Mapping | None = None, start: tuple[int, int] = (0, 0)) -> list[Any]:
    """(line, cells) of what was read, (line, code) of what was not."""
    return [_short(row) for row in rows_of(path, mapping, start)]


def rows_of(
    path: Path, mapping: Mapping | None = None, start: tuple[int, int] = (0, 0)
) -> list[Row | Unread]:
    reader = open_rows(path, mapping or Mapping())
    try:
        return list(reader.rows(*start))
    finally:
        reader.close()


def _short(row: Row | Unread) -> Any:
    return (row.line, row.cells if isinstance(row, Row) else row.fault.code)


def zstd(text: bytes) -> bytes:
    return bytes(cramjam.zstd.compress(text))


PACKINGS = {
    "plain.csv": lambda text: text.encode(),
    "mark.csv": lambda text: text.encode("utf-8-sig"),
    "windows.csv": lambda text: text.replace("\n", "\r\n").encode(),
    "utf16.csv": lambda text: text.encode("utf-16"),
    "big.csv": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "packed.csv.gz": lambda text: gzip.compress(text.encode()),
    "packed.csv.zst": lambda text: zstd(text.encode()),
    "packed-utf16.csv.gz": lambda text: gzip.compress(text.encode("utf-16")),
}


@pytest.mark.parametrize("name", PACKINGS)
def test_a_csv_reads_the_same_however_it_is_packed_and_from_wherever(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(PACKINGS[name](CSV))
    found = rows_of(path)
    expected = ROWS
    if name == "windows.csv":
        expected = [(2, ROWS[0][1] | {"note": 'one\r\ntwo, "three"'}), *ROWS[1:]]
    assert [_short(row) for row in found] == expected
    for index, row in enumerate(found):
        assert read(path, start=(row.end, row.line + (index == 0))) == expected[index + 1 :]


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("a,b,c\n1,2,3\n", ","),
        ("a;b;c\n1,5;2;3\n", ";"),
        ("a\tb\n1, 2\t3, 4\n", "\t"),
        ('"a, b, c";d\n"1, 2";3\n', ";"),
        ("a|b\n1|2\n", "|"),
        ("email\nada@x.io\n", ","),
        ("name, full;id\nx;1\ny;2\n", ";"),
    ],
)
def test_the_delimiter_is_found(text: str, delimiter: str) -> None:
    assert sniff(text) == delimiter


def test_rows_that_do_not_fit_are_refused_alone(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    good = [b"%d,x" % number for number in range(20_000)]
    bad = [b"3", b"4,5,6", b'7,"8"x', b"9,\xff", b"10,11", b'12,"open', b"13,14", b""]
    path.write_bytes(b"\n".join([b"a,b", *good, b"1,2", *bad]))
    assert read(path)[20_000:] == [
        (20_002, {"a": "1", "b": "2"}),
        (20_003, "bad_columns"),
        (20_004, "bad_columns"),
        (20_005, "bad_csv"),
        (20_006, "bad_encoding"),
        (20_007, {"a": "10", "b": "11"}),
        (20_008, "bad_csv"),
    ]


def test_columns_without_a_name_and_with_the_same_one_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    path.write_text("a,,a\n1,2,3\n")
    assert read(path) == [(2, {"a": "1", "column 2": "2", "a (2)": "3"})]


def test_another_encoding_is_told_or_named(tmp_path: Path) -> None:
    path = tmp_path / "excel.csv"
    path.write_bytes("name;city\nJosé;Köln\n".encode("cp1252"))
    with pytest.raises(Unusable, match=r"line 2: this is not utf-8.*encoding: cp1252"):
        read(path)
    assert read(path, Mapping(encoding="cp1252")) == [(2, {"name": "José", "city": "Köln"})]


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("book.xlsx", b"PK\x03\x04", "an Excel workbook"),
        ("empty.csv", b"", "the first line must name the columns"),
        ("half.csv.gz", gzip.compress(CSV.encode() * 20_000)[:-1_000], "damaged after line"),
        ("half.csv.zst", zstd(CSV.encode() * 9)[:-3] + b"xyz", "amaged|unpacked"),
        ("list.json", b' [{"a": 1}]', "one JSON list"),
        ("what.bin", b"a,b\n", "is it csv, ndjson or parquet"),
        ("no.parquet", b"PAR1 and nothing", "no.parquet"),
        ("wide.csv", "a,b\n".encode("utf-16-le"), "encoding: utf-16-le"),
    ],
)
def test_what_cannot_be_read_is_said_in_a_line(
    tmp_path: Path, name: str, body: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(body)
    with pytest.raises(Unusable, match=message):
        read(path)
    with pytest.raises(Unusable, match="No such file"):
        read(tmp_path / "missing.csv")


def test_ndjson_reads_exact_numbers_and_refuses_lines_alone(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(b'{"a":0.10}\n\nnot json\n[1]\n{"a":NaN}\n{"a":"\\u0000"}\n{"a":2}')
    found = rows_of(path)
    assert [_short(row) for row in found[1:]] == [
        (3, "bad_text"),
        (4, "not_an_object"),
        (5, "bad_text"),
        (6, "nul_byte"),
        (7, {"a": 2}),
    ]
    assert isinstance(found[0], Row)
    assert str(found[0].cells["a"]) == "0.10"
    for index, row in enumerate(found):
        assert read(path, start=(row.end, row.line)) == [_short(one) for one in found[index + 1 :]]


def test_parquet_reads_by_row_groups_and_from_any_row(tmp_path: Path) -> None:
    path = tmp_path / "orders.parquet"
    table = pyarrow.table({"id": list(range(10)), "name": [f"n{i}" for i in range(10)]})
    parquet.write_table(table, path, row_group_size=3)
    expected = [(i + 1, {"id": i, "name": f"n{i}"}) for i in range(10)]
    for start in range(11):
        assert read(path, start=(start, start)) == expected[start:]


# -- grouping -----------------------------------------------------------------------------


def grouped(tmp_path: Path, text: str) -> list[Any]:
    path = tmp_path / "lines.csv"
    path.write_text(text)
    mapping = Mapping(group_by="o")
    reader = open_rows(path, mapping)
    items = list(units(reader, mapping, (0, 0)))
    reader.close()
    assert [item.end for item in items] == sorted({item.end for item in items})
    return [
        (item.key, [line["x"] for line in item.lines or ()], item.cells["total"])
        if isinstance(item, Unit)
        else (item.line, item.fault.code)
        for item in items
    ]


def test_neighbours_with_the_same_key_are_one_order(tmp_path: Path) -> None:
    text = "o,x,total\n1,a,\n1,b,5\n2,c,7\n3,d,8\n3,e,9\n"
    assert grouped(tmp_path, text) == [
        ("1", ["a", "b"], "5"),
        ("2", ["c"], "7"),
        ("3", ["d", "e"], "8"),
    ]


def test_an_order_whose_rows_lie_apart_is_refused_from_its_second_piece_on(tmp_path: Path) -> None:
    text = "o,x,total\n1,a,1\n2,b,2\n1,c,1\n,d,4\n"
    assert grouped(tmp_path, text) == [
        ("1", ["a"], "1"), ("2", ["b"], "2"), (4, "group_split"), (5, "missing_group"),
    ]  # fmt: skip


def test_orders_beside_a_row_that_cannot_be_read_are_refused_with_it(tmp_path: Path) -> None:
    text = "o,x,total\n1,a,1\n2,b,2\n2,c\n3,d,3\n4,e,4\n"
    assert grouped(tmp_path, text) == [
        ("1", ["a"], "1"),
        (3, "group_incomplete"),
        (4, "bad_columns"),
        (5, "group_incomplete"),
        ("4", ["e"], "4"),
    ]


def test_an_order_without_end_takes_no_more_memory(tmp_path: Path) -> None:
    text = "o,x,total\n" + "1,a,1\n" * 1_001 + "2,b,2\n"
    assert grouped(tmp_path, text) == [(2, "group_too_long"), ("2", ["b"], "2")]
    Kept.alive = 0
    most = 0

    def rows() -> Iterator[Row]:
        nonlocal most
        for line in range(3_000):
            yield Row(line, line, Kept(o="1"))
            most = max(most, Kept.alive)

    [refused] = grouping.grouped(rows(), lambda unit: unit.cells["o"])
    assert isinstance(refused, Unread)
    assert (refused.fault.code, refused.end) == ("group_too_long", 2_999)
    assert most <= grouping.LONGEST + 2


class Kept(dict[str, Any]):
    """Cells that are counted as long as somebody keeps them."""

    alive = 0

    def __init__(self, **cells: Any) -> None:
        super().__init__(cells)
        Kept.alive += 1

    def __del__(self) -> None:
        Kept.alive -= 1


def test_rows_without_a_key_are_refused_each(tmp_path: Path) -> None:
    text = "o,x,total\n,a,1\n,b,2\n"
    assert grouped(tmp_path, text) == [(2, "missing_group"), (3, "missing_group")]
    text = "o,x,total\n" + "1,a,1\n" * 1_000
    assert grouped(tmp_path, text) == [("1", ["a"] * 1_000, "1")]


@example([*map(str, range(13)), "0", *map(str, range(13, 21)), "0"])
@given(st.lists(st.integers(0, 60).map(str), max_size=200))
def test_the_latest_keys_are_remembered(keys: list[str]) -> None:
    recent = Recent(10)
    for index, key in enumerate(keys):
        new = recent.add(key)
        if key in list(dict.fromkeys(reversed(keys[:index])))[:9]:
            assert not new
        if key not in keys[:index]:
            assert new
