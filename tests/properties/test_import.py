"""Whatever is in a file, an import makes events of it or refuses them, row by row."""

import tempfile
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.history.batches import batches, units
from services.ingest.history.files.reading import open_rows
from services.ingest.history.identity import Namer
from services.ingest.history.loading import parse
from services.ingest.history.mapping import Mapper
from services.ingest.history.model import Made, Unit
from tests.importing import NOW

MAPPING = """
decimal: ","
thousands: "."
when: not_null(a, b)
event: {column: a, default: Seen}
id: [a, b]
timestamp: {column: at, timezone: Europe/Berlin}
user_id: {template: "{a}-{b}"}
email: b
external_ids: {card: c}
consent: {email: {column: c, as: boolean}}
properties:
  total: a
  whole: {column: b, as: integer}
  sum: {expr: "[a, b]", as: sum}
  list: {column: c, as: list, split: ";"}
  at: {column: c, as: time, format: unix}
  odd: {expr: "a > `1` && length(b) || sort(c)", map: {"1": one}}
products: {name: c, price: b}
"""
MAPPER = Mapper(parse(MAPPING, "m"), Namer("shop"), None, NOW)
AT = st.sampled_from([None, "2021-05-03", "2021-03-28T02:30", 7, "", "9999-12-31T23:59:59-23:00"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
CELLS = st.fixed_dictionaries({"a": JSON, "b": JSON, "c": JSON, "at": AT})


@given(CELLS, st.lists(CELLS, max_size=3) | st.none())
def test_any_row_becomes_an_event_or_a_refusal_the_same_each_time(
    cells: dict[str, Any], lines: list[dict[str, Any]] | None
) -> None:
    made = MAPPER.make(Unit(1, 1, 1, cells, lines))
    assert made == MAPPER.make(Unit(1, 1, 1, cells, lines))
    for one in made:
        if isinstance(one, Made):
            assert msgspec.json.decode(one.text)["messageId"] == one.message_id


TEXTS = st.text(st.sampled_from('a1,"\n\r;é\0 '), max_size=300).map(str.encode)


@given(st.data(), st.sampled_from(["csv", "ndjson"]), st.integers(1, 4))
def test_any_text_is_read_to_its_end_and_from_any_place_on(
    data: st.DataObject, form: str, size: int
) -> None:
    body = data.draw(TEXTS if form == "csv" else TEXTS | st.binary(max_size=300))
    text = "group_by: a\nevent: X\ntimestamp: at\nuser_id: a\n" + f"format: {form}\n"
    mapping = parse(text, "m")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(b"a,at\n" + body if form == "csv" else b'{"a": 1}\n' + body)
        whole = _read(path, mapping, size, (0, 0))
        for batch in whole:
            rest = _read(path, mapping, size, (batch.end, batch.line))
            assert sum(one.rows for one in rest) == sum(
                one.rows for one in whole if one.end > batch.end
            )


def _read(path: Path, mapping: Any, size: int, start: tuple[int, int]) -> list[Any]:
    reader = open_rows(path, mapping)
    try:
        mapper = Mapper(mapping, Namer("shop"), reader.columns, NOW)
        return list(batches(units(reader, mapping, start), mapper, size))
    finally:
        reader.close()
