"""Whatever a provider posts, signed or not, is answered, and never by a fault of ours."""

import json
from base64 import b64encode
from functools import cache
from hashlib import sha256
from hmac import digest
from itertools import product
from typing import Any

import msgspec
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.hooks.event import encode, fitted
from services.ingest.hooks.model import Translated
from services.ingest.hooks.registry import BY_KIND
from services.ingest.hooks.shopify import TOPICS as SHOPIFY
from services.ingest.hooks.woocommerce import TOPICS as WOOCOMMERCE
from services.ingest.model import Receipt, Shared
from services.ingest.rules import accept
from tests.hooking import NOW, Tray, calling, door, example, examples, source
from tests.properties.test_ingest import ANYTHING, SCALARS
from tests.tried import tried

SECRET = "s"
RECEIPT = Receipt("shop", NOW, lambda: "made-up")
KINDS = ("shopify", "woocommerce", "webhook")
MAPPING = {
    "signature": {"header": "x-signature", "encoding": "base64"},
    "list": "body.items || [body]",
    "events": [
        {
            "event": "item.event || 'Order Completed'",
            "messageId": "item.id",
            "timestamp": "item.at",
            "userId": "item.user",
            "email": "item.email",
            "externalIds": {"order": "item.id", "loyalty_card": "item.card"},
            "properties": {"order_id": "item.id", "total": "sum(item.*)", "list": "sort(keys(@))"},
        }
    ],
}
BODIES = [
    json.loads(example(path)[0].body)
    for folder in ("shopify", "woocommerce", "generic")
    for path in examples(folder)
]


def places(said: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in a JSON value."""
    inner = (
        said.items()
        if isinstance(said, dict)
        else enumerate(said)
        if isinstance(said, list)
        else ()
    )
    return [here, *(place for key, one in inner for place in places(one, (*here, key)))]


def changed(said: Any, place: tuple[Any, ...], value: Any) -> Any:
    """``said`` with another value at one place."""
    if not place:
        return value
    copy = dict(said) if isinstance(said, dict) else list(said)
    copy[place[0]] = changed(said[place[0]], place[1:], value)
    return copy


@st.composite
def damaged(draw: st.DrawFn) -> Any:
    """A real delivery in which one or two values are something else."""
    said = draw(st.sampled_from(BODIES))
    for _ in range(draw(st.integers(1, 2))):
        said = changed(said, draw(st.sampled_from(places(said))), draw(SCALARS | ANYTHING))
    return said


@cache
def shops() -> tuple[Tray, FastAPI]:
    """A source of each kind under its name, made once: it keeps nothing between deliveries."""
    secrets = {name: [SECRET] for name in ("app_secret", "webhook_secret", "secret")}
    options = {"webhook": MAPPING}
    sources = (source(kind, secrets, options.get(kind), name=kind) for kind in KINDS)
    tray = Tray()
    return tray, door(tray, *sources)


SAID = st.one_of(
    damaged().map(json.dumps).map(str.encode),
    damaged().map(json.dumps).map(str.encode),
    ANYTHING.map(json.dumps).map(str.encode),
    st.binary(max_size=60),
)


@tried(300)
@given(
    body=SAID,
    kind=st.sampled_from(KINDS),
    shopify=st.sampled_from(sorted(SHOPIFY)),
    woocommerce=st.sampled_from(sorted(WOOCOMMERCE)),
    stamp=st.sampled_from(["2026-03-14T09:00:00Z", "", "0001-01-01T00:00:00+14:00", "x"]),
)
async def test_any_body_is_answered(
    body: bytes, kind: str, shopify: str, woocommerce: str, stamp: str
) -> None:
    signed = b64encode(digest(SECRET.encode(), body, sha256)).decode()
    headers = {
        "x-shopify-hmac-sha256": signed,
        "x-shopify-topic": shopify,
        "x-shopify-webhook-id": "w",
        "x-shopify-triggered-at": stamp,
        "x-wc-webhook-signature": signed,
        "x-wc-webhook-topic": woocommerce,
        "x-signature": signed,
    }
    tray, app = shops()
    tray.records.clear()
    async with calling(app) as client:
        response = await client.post(f"/v1/hooks/{kind}", content=body, headers=headers)
    assert response.status_code in (200, 400)
    if response.status_code == 200:
        answer = response.json()
        assert answer["accepted"] + answer["requests"] == len(tray.records)
    else:
        assert tray.records == []


ODD: list[Any] = [None, True, 7, -0.5, "x", "2026-13-01", [], ["x"], [[]], {}, {"id": {}}]


@pytest.mark.parametrize("folder", ["shopify", "woocommerce"])
def test_no_field_of_another_kind_makes_a_hook_stumble(folder: str) -> None:
    hook = BY_KIND[folder]
    seen = set[tuple[str, tuple[Any, ...]]]()
    for path in examples(folder):
        said, options, _ = example(path)
        body = json.loads(said.body)
        topic = path.stem.split("-")[0]
        new = [place for place in places(body) if (topic, place) not in seen]
        seen |= {(topic, place) for place in new}
        for place, value in product(new, ODD):
            wrong = json.dumps(changed(body, place, value)).encode()
            outcome = hook.translate(msgspec.structs.replace(said, body=wrong), options)
            events = outcome.events if isinstance(outcome, Translated) else []
            for one in events:
                accept(encode(fitted(one)), None, Shared(), RECEIPT)
    assert len(seen) > 100
