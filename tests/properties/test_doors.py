"""Whatever a till uploads or an admin calls a schema, it is answered, and costs no neighbour."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.validation import Fault
from services.ingest.plans.bounds import check_schema, compiled
from services.ingest.sources.model import KeyHash, Source
from services.runtime.keys import digest
from tests.ingesting import Published, Shelf, client_of
from tests.tried import tried
from tests.unit.test_ingest_rules import NOW
from tests.unit.test_till import SALE, TILL_KEY

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6)
    | st.sampled_from(["12.50", "2026-03-14T10:00:00Z", "return", "EUR", "t-1", "\x00"])
)
SALES = st.fixed_dictionaries(
    {},
    optional={
        name: st.recursive(
            SCALARS,
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["sku", "quantity", "price", "method", "email", "phone", "x"]),
                    inner,
                    max_size=3,
                )
            ),
        )
        for name in ("kind", "sale_id", "occurred_at", "total", "tax", "lines", "customer", "own")
    },
)


@given(said=st.lists(SALES, max_size=4), at=st.integers(0, 4))
@tried(40)
async def test_a_good_sale_survives_any_neighbours(said: list[dict[str, Any]], at: int) -> None:
    shelf, published = Shelf(), Published()
    key = KeyHash(id="k1", hash=digest(TILL_KEY), created_at=NOW)
    published.put(Source(name="web", kind="store", keys=(key,)))
    sales = [SALE | one | {"receipt": str(number)} for number, one in enumerate(said)]
    upload = {"sales": [*sales[:at], SALE, *sales[at:]]}
    async with client_of(shelf, TILL_KEY, published) as client:
        response = await client.post("/v1/store/sales", content=json.dumps(upload))
    assert response.status_code == 200
    answer = response.json()
    stored = [value["messageId"] for value in shelf.values]
    assert stored.count("till:web:berlin-2:000123") == 1
    assert answer["accepted"] == len(stored) == len(set(stored))
    assert answer["accepted"] + answer["duplicates"] + len(answer["rejected"]) == len(said) + 1


KEYWORDS = st.sampled_from(("type", "properties", "items", "pattern", "$ref", "$defs", "enum")) | (
    st.sampled_from(("required", "allOf", "minimum", "format", "patternProperties", "not", "a"))
)
WORDS = SCALARS | st.sampled_from(["string", "object", "#/$defs/a", "#", "(", "(?=a)", "^a+$"])
SCHEMAS = st.recursive(
    WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYWORDS, inner, max_size=4),
    max_leaves=15,
)


@given(schema=st.dictionaries(KEYWORDS, SCHEMAS, max_size=4), said=SCHEMAS)
@tried(120)
def test_any_schema_is_refused_or_judges_anything(schema: dict[str, Any], said: Any) -> None:
    fault = check_schema(schema)
    if fault is None:
        validator = compiled(schema)
        assert validator.is_valid(said) == (list(validator.iter_errors(said)) == [])
    else:
        assert isinstance(fault, Fault)
        assert fault.code in ("bad_schema", "bad_ref", "schema_too_large")
