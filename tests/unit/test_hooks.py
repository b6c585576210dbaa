"""What holds for the webhooks of every provider."""

import json
from collections.abc import Awaitable
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from schemas.messages import PrivacyRequest, SubjectIdentity
from schemas.validation import Fault
from services.ingest.hooks import body, event, signature
from services.ingest.hooks.model import Delivery, Options, Reply, Secrets, Translated, Verdict
from services.ingest.lane import _headers as headers_of
from services.ingest.model import MAX_EVENT
from tests.contract.conformance import problems
from tests.hooking import NOW, Tray, doorway, source

REQUEST = PrivacyRequest(
    subject_request_id="r-1",
    subject_request_type="erasure",
    submitted_time=NOW,
    subject_identities=[SubjectIdentity(identity_type="email", identity_value="a@b.example")],
)


class Toy:
    """A provider whose signature is the secret itself."""

    kind = "webhook"
    secrets = ("word",)
    methods = frozenset({"GET", "POST"})

    def check(self, options: Any) -> list[Fault]:
        return []

    def verify(
        self, delivery: Delivery, secrets: Secrets, options: Options
    ) -> Verdict | Awaitable[Verdict]:
        if delivery.method == "GET":
            return Reply(delivery.query["challenge"].encode())
        if delivery.headers.get("x-word") in secrets("word"):
            return self._look_up() if options.get("slow") else None
        return signature.BAD_SIGNATURE

    async def _look_up(self) -> Verdict:
        return Fault("bad_certificate", "The certificate is not theirs.")

    def translate(self, delivery: Delivery, options: Options) -> Translated | Fault:
        said = body.read_object(delivery.body)
        if isinstance(said, Fault):
            return said
        if "ask" in said:
            return Translated(requests=[REQUEST])
        if "skip" in said:
            return Translated(ignored=[Fault("of_no_use", "Nothing a shop needs.")])
        events = [{"type": "track", "event": "Seen", **one} for one in said["events"]]
        return Translated(events=events)


HOOKS = {"webhook": Toy()}
SOURCE = source("webhook", {"word": ["new", "old"]})
GOOD = {"messageId": "m-1", "userId": "u-1"}


async def post(tray: Tray, said: Any, word: str = "new", to: Any = SOURCE) -> Any:
    text = said if isinstance(said, bytes) else json.dumps(said).encode()
    async with doorway(tray, to, hooks=HOOKS) as client:
        return await client.post("/v1/hooks/shop", content=text, headers={"x-word": word})


@pytest.mark.parametrize("word", ["new", "old"])
async def test_a_delivery_signed_by_either_secret_of_a_rotation_is_taken(word: str) -> None:
    tray = Tray()
    response = await post(tray, {"events": [GOOD, {"messageId": "m-2"}]}, word)
    assert response.status_code == 200
    assert response.json() == {
        "success": True,
        "accepted": 1,
        "duplicates": 0,
        "rejected": [
            {
                "index": 1,
                "code": "missing_id",
                "detail": "userId or anonymousId is needed, or an email trait.",
                "messageId": "m-2",
            }
        ],
        "ignored": [],
        "requests": 0,
    }
    assert [(one["messageId"], one["source"]) for one in tray.events] == [("m-1", "shop")]


async def test_what_is_left_out_on_purpose_is_said() -> None:
    response = await post(tray := Tray(), {"skip": True})
    assert response.json()["ignored"] == [{"code": "of_no_use", "detail": "Nothing a shop needs."}]
    assert tray.records == []


async def test_a_privacy_request_goes_to_its_own_topic_under_the_sources_name() -> None:
    response = await post(tray := Tray(), {"ask": True})
    assert response.json()["requests"] == 1
    [record] = tray.records
    assert (record.topic, record.key, record.message_id) == ("privacy.requests", "r-1", "r-1")
    assert record.type == "regulars.privacy.requested.v1"
    assert tray.requests == [
        msgspec.to_builtins(REQUEST) | {"source": "shop", "submitted_time": "2026-04-01T12:00:00Z"}
    ]


async def test_a_privacy_request_keeps_the_contract() -> None:
    await post(tray := Tray(), {"ask": True})
    [record] = tray.records
    headers = dict(headers_of(record, record.key.encode(), b"/ingest/shop"))
    assert problems("privacy.requests", record.value, headers) == []


async def test_a_hook_may_answer_a_handshake_by_itself() -> None:
    async with doorway(tray := Tray(), SOURCE, hooks=HOOKS) as client:
        response = await client.get("/v1/hooks/shop?challenge=41")
    assert (response.status_code, response.text) == (200, "41")
    assert tray.records == []


@pytest.mark.parametrize(
    ("to", "word", "said", "status", "code"),
    [
        (SOURCE, "wrong", {"events": [GOOD]}, 401, "bad_signature"),
        (source("webhook", {}), "new", {"events": [GOOD]}, 401, "bad_signature"),
        (source("webhook", {"word": ["new"]}, {"slow": 1}), "new", {}, 401, "bad_certificate"),
        (source("webhook", {"word": ["new"]}, enabled=False), "new", {}, 403, "source_disabled"),
        (source("server", {}), "new", {}, 404, "unknown_source"),
        (SOURCE, "new", b"{", 400, "bad_json"),
        (SOURCE, "new", b"[]", 400, "not_an_object"),
        (SOURCE, "new", b'{"a": "\\u0000"}', 400, "nul_byte"),
        (SOURCE, "new", b"[" * 500_000, 400, "too_deep"),
    ],
)
async def test_what_cannot_be_taken_is_answered_with_a_reason(
    to: Any, word: str, said: Any, status: int, code: str
) -> None:
    response = await post(tray := Tray(), said, word, to)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"
    assert tray.records == []


async def test_an_unknown_name_a_wrong_method_and_a_large_body_are_refused() -> None:
    async with doorway(Tray(), SOURCE, hooks=HOOKS) as client:
        assert (await client.post("/v1/hooks/nobody", content=b"{}")).status_code == 404
        assert (await client.put("/v1/hooks/shop", content=b"{}")).status_code == 405
        large = await client.post("/v1/hooks/shop", content=b" " * 1_048_577)
        packed = {"content-encoding": "gzip"}
        zipped = await client.post("/v1/hooks/shop", content=b"{}", headers=packed)
    assert (large.status_code, zipped.status_code) == (413, 415)


async def test_a_broker_that_does_not_answer_makes_the_provider_come_again() -> None:
    tray = Tray()
    tray.trouble = "Kafka is not reachable."
    response = await post(tray, {"events": [GOOD]})
    assert (response.status_code, response.headers["retry-after"]) == (503, "10")
    assert response.json()["code"] == "broker_unavailable"


@pytest.mark.parametrize(("algorithm", "encoding"), [("sha256", "base64"), ("sha1", "hex")])
def test_a_signature_is_right_only_for_its_body_and_secret(algorithm: Any, encoding: Any) -> None:
    def verdict(secrets: list[bytes], payload: bytes, given: str) -> str | None:
        fault = signature.check(secrets, payload, [given], algorithm, encoding)
        return None if fault is None else fault.code

    signed = signature.sign(b"s", b"body", algorithm, encoding)
    assert verdict([b"other", b"s"], b"body", f" {signed} ") is None
    assert verdict([b"other"], b"body", signed) == "bad_signature"
    assert verdict([b"s"], b"body ", signed) == "bad_signature"
    assert verdict([b"s"], b"body", "ü\udc80") == "bad_signature"
    assert verdict([], b"body", signed) == "missing_secret"


def test_a_message_id_is_the_same_for_the_same_and_short_enough() -> None:
    assert event.message_id("shopify", "order", 7) == "shopify:order:7"
    long = event.message_id("shopify", "x" * 200)
    assert long == event.message_id("shopify", "x" * 200) != event.message_id("shopify", "y" * 200)
    assert len(long) <= 99
    assert event.message_id("a", "nul\0").startswith("a:")


def test_an_event_that_is_too_large_loses_what_matters_least() -> None:
    def order(count: int) -> dict[str, Any]:
        line = {"product_id": "1", "name": "n" * 60, "variant": "v" * 60, "price": "1.10"}
        properties = {"order_id": "7", "total": "9.90", "products": [dict(line)] * count}
        return {"type": "track", "event": "Order Completed", "properties": properties}

    assert event.fitted(order(3)) == order(3)
    shorter = event.fitted(order(250))["properties"]
    assert shorter["products"][0] == {"product_id": "1", "name": "n" * 60, "price": "1.10"}
    assert len(shorter["products"]) == 250
    fewer = event.fitted(order(3_000))
    assert len(event.encode(fewer)) < MAX_EVENT
    kept = fewer["properties"]
    assert kept["products"][0] == {"product_id": "1", "price": "1.10"}
    assert kept["products_omitted"] + len(kept["products"]) == 3_000
    assert (kept["order_id"], kept["total"]) == ("7", "9.90")


def test_numbers_are_read_to_the_last_digit() -> None:
    assert body.read(b'{"a": 0.1000000000000000055, "b": 7}') == {
        "a": Decimal("0.1000000000000000055"),
        "b": 7,
    }
    assert body.read(b'{"a": 1e999}') == Fault("bad_json", "The body is not JSON in UTF-8.")
