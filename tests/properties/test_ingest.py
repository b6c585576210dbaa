"""Whatever is sent, ingest answers, and no event suffers for its neighbour."""

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from schemas.messages import Event
from schemas.validation import check, check_body
from tests.ingesting import Shelf, client_of
from tests.tried import tried

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.text(alphabet="\x00\ud83d12,.5 ")
    | st.sampled_from(
        ["", "USD", "Order Completed", "track", "identify", "1970-01-01", "9999-12-31"]
    )
)
NAMES = st.sampled_from(sorted(Event.__struct_encode_fields__)) | st.text(max_size=8)
PROPERTIES = st.dictionaries(
    st.sampled_from(["order_id", "total", "revenue", "currency", "products", "price", "quantity"]),
    st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)),
)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner), max_leaves=12
)
NEAR_EVENTS = st.fixed_dictionaries(
    {"type": st.sampled_from(["track", "identify", "page"]), "userId": SCALARS},
    optional={
        "event": st.sampled_from(["Order Completed", "Order Refunded", "Product Viewed"]) | SCALARS,
        "messageId": SCALARS,
        "timestamp": SCALARS | st.datetimes().map(str),
        "properties": PROPERTIES,
        "traits": ANYTHING,
        "context": ANYTHING,
    },
)
GOOD: dict[str, Any] = {"type": "page", "userId": "good"}


@given(said=st.lists(ANYTHING | NEAR_EVENTS, max_size=4), at=st.integers(0, 4), sent=SCALARS)
@tried(300)
async def test_a_valid_event_survives_any_neighbours(said: list[Any], at: int, sent: Any) -> None:
    shelf = Shelf()
    batch = [*said[:at], GOOD | {"messageId": "the-good-one"}, *said[at:]]
    async with client_of(shelf) as client:
        body = json.dumps({"batch": batch, "sentAt": sent})
        response = await client.post("/v1/batch", content=body)
    assert response.status_code == 200
    answer = response.json()
    stored = [value["messageId"] for value in shelf.values]
    assert stored.count("the-good-one") == 1
    assert answer["accepted"] == len(stored) == len(set(stored))
    assert answer["accepted"] + answer["duplicates"] + len(answer["rejected"]) == len(batch)
    for event in shelf.events:
        # The other door would take it too.
        assert check_body(event.value) is None
        assert check(msgspec.json.decode(event.value, type=Event)) is None


@given(said=ANYTHING | NEAR_EVENTS, call=st.sampled_from(["track", "identify", "alias", "group"]))
@tried(200)
async def test_a_single_call_is_taken_or_refused_and_never_a_fault_of_ours(
    said: Any, call: str
) -> None:
    shelf = Shelf()
    async with client_of(shelf) as client:
        response = await client.post(f"/v1/{call}", content=json.dumps(said))
    assert response.status_code in (200, 400)
    assert len(shelf.events) == (response.status_code == 200)


@given(
    body=st.binary(max_size=200)
    | st.text().map(str.encode)
    | ANYTHING.map(json.dumps).map(str.encode)
)
@tried(200)
async def test_any_bytes_are_answered(body: bytes) -> None:
    async with client_of(Shelf()) as client:
        for path in ("batch", "track"):
            response = await client.post(f"/v1/{path}", content=body)
            assert response.status_code in (200, 400)
