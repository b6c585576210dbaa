"""The HTTP face of ingest, with a list in Kafka's place: keys, limits, answers."""

import gzip
import json
import zlib
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import cramjam
import httpx
import pytest

from services.ingest.api import create_app
from services.ingest.model import MAX_BODY, MAX_EVENTS
from services.ingest.sources.model import KeyHash, Source
from services.runtime.hot import Asked
from services.runtime.keys import digest
from tests.ingesting import KEY, SOURCE, Kept, Published, Shelf, client_for, client_of, settings

PAGE = {"type": "page", "userId": "u", "messageId": "m-1"}
BASIC = b64encode(f"{KEY}:".encode()).decode()


async def post(path: str, body: Any, shelf: Shelf | None = None, **given: Any) -> httpx.Response:
    key = given.pop("key", KEY)
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with client_of(shelf or Shelf(), key) as client:
        return await client.post(path, content=content, **given)


@pytest.mark.parametrize("path", ["/v1/page", "/v1/batch", "/v1/import"])
@pytest.mark.parametrize("way", ["basic", "bearer", "body"])
async def test_a_write_key_is_known_in_three_ways(path: str, way: str) -> None:
    body: dict[str, Any] = PAGE if path == "/v1/page" else {"batch": [PAGE]}
    headers = {"basic": f"Basic {BASIC}", "bearer": f"Bearer {KEY}"}
    given = {"headers": {"Authorization": headers[way]}} if way in headers else {}
    shelf = Shelf()
    if way == "body":
        body = body | {"writeKey": KEY}
    response = await post(path, body, shelf, key=None, **given)
    assert response.json() == {"success": True, "accepted": 1, "duplicates": 0, "rejected": []}
    assert KEY.encode() not in shelf.events[0].value


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic wrong"},
        {"Authorization": f"Basic {b64encode(b'wrong:').decode()}"},
        {"Authorization": f"Digest {KEY}"},
    ],
)
async def test_without_a_known_write_key_nothing_is_taken(headers: dict[str, str]) -> None:
    for path, body in (("/v1/page", PAGE), ("/v1/batch", {"batch": [PAGE], "writeKey": 7})):
        shelf = Shelf()
        response = await post(path, body, shelf, key=None, headers=headers)
        assert response.status_code == 401
        assert response.headers["content-type"] == "application/problem+json"
        assert "Basic" in response.headers["www-authenticate"]
        assert shelf.events == []


async def test_each_refused_event_is_named_and_the_others_are_taken() -> None:
    shelf = Shelf()
    order = {"type": "track", "event": "Order Completed", "userId": "u", "messageId": "m-2"}
    batch = [order | {"properties": {"order_id": "o", "revenue": "12,50"}}, PAGE, PAGE, 7]
    response = await post("/v1/batch", {"batch": batch}, shelf)
    assert response.status_code == 200
    answer = response.json()
    assert [value["messageId"] for value in shelf.values] == ["m-1"]
    assert (answer["accepted"], answer["duplicates"]) == (1, 1)
    codes = [(refused["index"], refused["code"]) for refused in answer["rejected"]]
    assert codes == [(0, "bad_amount"), (3, "not_an_object")]
    assert answer["rejected"][0]["messageId"] == "m-2"


async def test_what_a_batch_says_once_holds_for_each_of_its_events() -> None:
    shelf = Shelf()
    other = {"type": "page", "userId": "u", "messageId": "m-2", "context": {"locale": "fr"}}
    shared = {"context": {"locale": "de", "app": {"name": "Shop"}}, "integrations": {"All": True}}
    response = await post("/v1/batch", {"batch": [PAGE, other], **shared}, shelf)
    assert response.json()["accepted"] == 2
    assert [value["context"]["locale"] for value in shelf.values] == ["de", "fr"]
    assert all(value["context"]["app"] == {"name": "Shop"} for value in shelf.values)
    assert all(value["integrations"] == {"All": True} for value in shelf.values)


async def test_a_single_event_that_does_not_fit_is_a_problem() -> None:
    response = await post("/v1/track", PAGE)
    assert response.status_code == 400
    problem = response.json()
    assert problem["code"] == "missing_event"
    assert problem["messageId"] == "m-1"
    assert problem["instance"] == "/v1/track"


@pytest.mark.parametrize("word", [b"NaN", b"-Infinity", b'"\\ud83d"'])
async def test_what_is_no_json_in_one_event_costs_only_that_event(word: bytes) -> None:
    shelf = Shelf()
    bad = b'{"type":"page","userId":"u","properties":{"a":' + word + b"}}"
    good = b'{"type":"page","userId":"u","messageId":"m","properties":{"a":0.12345678901234567}}'
    response = await post("/v1/batch", b'{"batch":[' + bad + b"," + good + b"]}", shelf)
    assert [refused["code"] for refused in response.json()["rejected"]] == ["bad_text"]
    assert b"0.12345678901234567" in shelf.events[0].value


async def test_an_event_deeper_than_any_parser_costs_only_itself() -> None:
    shelf = Shelf()
    deep = (
        b'{"type":"page","a":"]}\\"","userId":' + b'{"a":[' * 20_000 + b"1" + b"]}" * 20_000 + b"}"
    )
    good = json.dumps(PAGE).encode()
    response = await post("/v1/batch", b'{"batch":[' + deep + b"," + good + b"]}", shelf)
    assert response.status_code == 200
    assert [refused["code"] for refused in response.json()["rejected"]] == ["too_deep"]
    assert [value["messageId"] for value in shelf.values] == ["m-1"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "bad_json"),
        (b"{", 400, "bad_json"),
        (b"[" * 100_000, 400, "bad_batch"),
        (b"{" * 100_000, 400, "bad_json"),
        (b"[" * 100_000 + b"]" * 100_000, 400, "bad_batch"),
        (b"[]", 400, "bad_batch"),
        (b"{}", 400, "bad_batch"),
        (b'{"batch":{}}', 400, "bad_batch"),
        (b'{"batch":[],"context":[]}', 400, "bad_batch"),
        (b'{"batch":[],"context":{"a":"' + b"a" * 9_000 + b'"}}', 400, "bad_batch"),
        (b'{"batch":[' + b"1," * MAX_EVENTS + b"1]}", 413, "batch_too_long"),
    ],
)
async def test_a_body_that_is_no_batch_is_refused_whole(
    body: bytes, status: int, code: str
) -> None:
    response = await post("/v1/batch", body)
    assert (response.status_code, response.json()["code"]) == (status, code)


async def test_too_large_a_body_is_refused_packed_or_not() -> None:
    large = b" " * (MAX_BODY + 1)
    assert (await post("/v1/batch", large)).status_code == 413
    packed = await post("/v1/batch", gzip.compress(large), headers={"Content-Encoding": "gzip"})
    assert packed.status_code == 413


PACKERS: dict[str, Callable[[bytes], Any]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": cramjam.brotli.compress,
    "zstd": cramjam.zstd.compress,
}


@pytest.mark.parametrize("encoding", PACKERS)
async def test_bodies_may_be_packed(encoding: str) -> None:
    shelf = Shelf()
    packed = bytes(PACKERS[encoding](json.dumps({"batch": [PAGE]}).encode()))
    headers = {"Content-Encoding": encoding}
    assert (await post("/v1/batch", packed, shelf, headers=headers)).status_code == 200
    assert [value["messageId"] for value in shelf.values] == ["m-1"]
    for body in (packed[:-4], b"plain"):
        response = await post("/v1/batch", body, shelf, headers=headers)
        assert (response.status_code, response.json()["code"]) == (400, "bad_packing")
    bomb = bytes(PACKERS[encoding](b" " * 10_000_000))
    response = await post("/v1/batch", bomb, shelf, headers=headers)
    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")
    assert len(shelf.events) == 1


async def test_deflate_may_lack_its_frame() -> None:
    bare = zlib.compress(json.dumps(PAGE).encode(), wbits=-15)
    response = await post("/v1/page", bare, headers={"Content-Encoding": "deflate"})
    assert response.status_code == 200


async def test_an_unknown_packing_is_refused_and_told_which_are_known() -> None:
    response = await post("/v1/page", PAGE, headers={"Content-Encoding": "lz4"})
    assert (response.status_code, response.json()["code"]) == (415, "bad_encoding")
    assert response.headers["accept-encoding"] == "gzip, deflate, br, zstd"


async def test_while_the_broker_is_away_nothing_is_promised() -> None:
    shelf = Shelf()
    shelf.trouble = "Kafka is not reachable."
    async with client_of(shelf) as client:
        response = await client.post("/v1/batch", json={"batch": [PAGE]})
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) > 0
        assert response.json()["code"] == "broker_unavailable"
        ready = await client.get("/health/ready")
        assert (ready.status_code, ready.json()["detail"]) == (503, "Kafka is not reachable.")
        assert (await client.get("/health/live")).status_code == 200
        shelf.trouble = None
        assert (await client.post("/v1/batch", json={"batch": [PAGE]})).status_code == 200
        assert (await client.get("/health/ready")).status_code == 200


async def test_a_batch_of_nothing_but_refused_events_needs_no_broker() -> None:
    shelf = Shelf()
    shelf.trouble = "away"
    response = await post("/v1/batch", {"batch": [7]}, shelf)
    assert (response.status_code, response.json()["accepted"]) == (200, 0)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/t", {"event": "Cart Viewed", "userId": "u", "messageId": "m-1"}),
        ("/v1/i", {"userId": "u", "messageId": "m-1"}),
        ("/v1/p", {"userId": "u", "messageId": "m-1"}),
        ("/v1/s", {"userId": "u", "messageId": "m-1"}),
        ("/v1/g", {"userId": "u", "groupId": "g", "messageId": "m-1"}),
        ("/v1/a", {"userId": "u", "previousId": "v", "messageId": "m-1"}),
        ("/v1/b", {"batch": [PAGE]}),
        ("/beacon/v1/batch", {"batch": [PAGE]}),
        ("/v1/beacon/v1/batch", {"batch": [PAGE]}),
    ],
)
async def test_browsers_send_to_short_addresses_and_as_plain_text(path: str, body: Any) -> None:
    shelf = Shelf()
    said = body | {"writeKey": KEY}
    headers = {"Content-Type": "text/plain"}
    response = await post(path, said, shelf, key=None, headers=headers)
    assert response.json() == {"success": True, "accepted": 1, "duplicates": 0, "rejected": []}
    assert [value["messageId"] for value in shelf.values] == ["m-1"]
    assert KEY.encode() not in shelf.events[0].value


OPENED = {"userId": "u", "messageId": "m-1", "event": "Email Opened", "writeKey": KEY}


@pytest.mark.parametrize("path", ["/v1/pixel/track", "/pixel/v1/track"])
@pytest.mark.parametrize("alphabet", [b64encode, urlsafe_b64encode])
@pytest.mark.parametrize("padding", ["", "="])
async def test_an_image_carries_an_event_in_its_address(
    path: str, alphabet: Callable[[bytes], bytes], padding: str
) -> None:
    shelf = Shelf()
    said = OPENED | {"properties": {"subject": "Grüße ~~?>"}}
    data = alphabet(json.dumps(said, ensure_ascii=False).encode()).decode().rstrip("=")
    async with client_of(shelf, None) as client:
        response = await client.get(f"{path}?data={data}{padding * (-len(data) % 4)}")
        seen = await client.head(f"{path}?data={data}")
    assert (response.status_code, response.headers["content-type"]) == (200, "image/gif")
    assert response.headers["cache-control"] == "no-store"
    assert (response.content[:6], response.content[-1:]) == (b"GIF89a", b";")
    assert (seen.status_code, seen.content) == (200, b"")
    [value] = shelf.values
    assert (value["messageId"], value["properties"]) == ("m-1", {"subject": "Grüße ~~?>"})
    assert "writeKey" not in value


async def test_an_image_may_name_the_fields_one_by_one() -> None:
    shelf = Shelf()
    fields = OPENED | {"properties.subject": "Hello & you", "properties.campaign.id": "c"}
    async with client_of(shelf, None) as client:
        response = await client.get("/v1/pixel/track", params=fields)
    assert response.status_code == 200
    [value] = shelf.values
    assert value["properties"] == {"subject": "Hello & you", "campaign": {"id": "c"}}


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 401),
        ("data=%25", 400),
        ("a=%ff", 400),
        ("a=1&a.b=2", 400),
        ("a.b=1&a=2", 400),
        ("&".join(f"a{n}=1" for n in range(300)), 400),
        ("a=" + "a" * 50_000, 400),
        ("userId=u&event=e", 401),
        (f"event=e&writeKey={KEY}", 400),
    ],
)
async def test_an_image_that_carries_no_event_is_an_image_still(query: str, status: int) -> None:
    shelf = Shelf()
    async with client_of(shelf, None) as client:
        response = await client.get(f"/v1/pixel/track?{query}")
    assert (response.status_code, response.headers["content-type"]) == (status, "image/gif")
    assert response.content.startswith(b"GIF89a")
    assert shelf.events == []


async def test_a_web_page_of_another_origin_may_send() -> None:
    shelf = Shelf()
    async with client_of(shelf) as client:
        asked = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
        asked["Access-Control-Request-Headers"] = "authorization, content-type, anonymousid"
        preflight = await client.options("/v1/track", headers=asked)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == "*"
        assert "POST" in preflight.headers["access-control-allow-methods"]
        allowed = preflight.headers["access-control-allow-headers"]
        assert asked["Access-Control-Request-Headers"] == allowed
        origin = {"Origin": asked["Origin"]}
        answers = [
            await client.post("/v1/page", json=PAGE, headers=origin),
            await client.post("/v1/page", json={}, headers=origin),
            await client.post("/v1/page", json=PAGE, headers=origin, auth=("x", "")),
            await client.post("/v1/batch", content=b" " * (MAX_BODY + 1), headers=origin),
            await client.put("/v1/page", json=PAGE, headers=origin),
        ]
        shelf.trouble = "away"
        answers.append(await client.post("/v1/page", json=PAGE, headers=origin))
    assert [answer.status_code for answer in answers] == [200, 400, 401, 413, 405, 503]
    allowing = {answer.headers["access-control-allow-origin"] for answer in answers}
    assert allowing == {"*"}


async def test_only_the_configured_origins_may_read_answers() -> None:
    transport = httpx.ASGITransport(
        create_app(settings(ingest_origins=["https://shop.example"]), Shelf(), Published())
    )
    async with httpx.AsyncClient(transport=transport, base_url="http://ingest") as client:
        for origin, allowed in (
            ("https://shop.example", "https://shop.example"),
            ("https://other.example", None),
        ):
            response = await client.post("/v1/page", json=PAGE, headers={"Origin": origin})
            assert response.headers.get("access-control-allow-origin") == allowed


async def test_other_methods_are_refused_and_told_which_are_right() -> None:
    async with client_of(Shelf()) as client:
        for path, allowed in (
            ("/v1/batch", "OPTIONS, POST"),
            ("/v1/pixel/track", "OPTIONS, GET, HEAD"),
        ):
            refused = await client.delete(path)
            assert (refused.status_code, refused.headers["allow"]) == (405, allowed)
            assert refused.headers["content-type"] == "application/problem+json"
            asked = await client.options(path)
            assert (asked.status_code, asked.headers["allow"]) == (204, allowed)
        head = await client.head("/v1/batch")
        assert (head.status_code, head.content) == (405, b"")


async def test_the_document_describes_every_call() -> None:
    async with client_of(Shelf(), key=None) as client:
        document = (await client.get("/openapi.json")).json()
        page = (await client.get("/docs")).text
    for call in ("identify", "track", "page", "screen", "group", "alias", "batch", "import"):
        operation = document["paths"][f"/v1/{call}"]["post"]
        assert {"200", "400", "401", "413", "503"} <= set(operation["responses"])
    assert "https://" not in page


async def test_the_metrics_name_routes_and_outcomes_but_nobody() -> None:
    async with client_of(Shelf()) as client:
        await client.post("/v1/page", json=PAGE | {"userId": "somebody"})
        text = (await client.get("/metrics")).text
    assert 'regulars_http_requests_total{route="/v1/page",service="ingest",status="200"}' in text
    assert 'regulars_ingest_events_total{outcome="accepted"}' in text
    assert "somebody" not in text


@pytest.mark.parametrize(
    ("path", "flags"),
    [
        ("/v1/import?history=true", ["history"]),
        ("/v1/import", None),  # where Segment's SDKs for Ruby and Java send what happens now
        ("/v1/import?history=false", None),
        ("/v1/batch?history=true", None),
    ],
)
async def test_only_what_is_imported_as_history_is_marked(path: str, flags: Any) -> None:
    shelf = Shelf()
    assert (await post(path, {"batch": [PAGE]}, shelf)).status_code == 200
    assert [value.get("flags") for value in shelf.values] == [flags]


@pytest.mark.parametrize("path", ["/v1/page", "/v1/batch", "/v1/import?history=false"])
async def test_a_source_of_history_sends_nothing_else(path: str) -> None:
    key = KeyHash(id="k", hash=digest("past"), created_at=datetime(2026, 1, 1, tzinfo=UTC))
    shelf, published = Shelf(), Published()
    published.put(Source(name=SOURCE, kind="history", keys=(key,)))
    body = PAGE if path == "/v1/page" else {"batch": [PAGE]}
    async with client_of(shelf, "past", published) as client:
        assert (await client.post(path, json=body)).status_code == 200
    assert [value["flags"] for value in shelf.values] == [["history"]]


async def test_history_is_yes_or_no() -> None:
    response = await post("/v1/import?history=perhaps", {"batch": [PAGE]})
    assert (response.status_code, response.json()["code"]) == (400, "bad_history")


@pytest.mark.parametrize("origins", [["*"], ["https://shop.example"]])
@pytest.mark.parametrize("origin", ["", "https://shop.example", "https://else.example"])
async def test_what_comes_straight_from_the_socket_is_answered_as_all_is(
    origins: list[str], origin: str
) -> None:
    app = create_app(settings(ingest_origins=origins), Shelf(), Published(), Kept())
    answer = app.state.server.keywords["hot"].answer
    good = json.dumps(PAGE).encode()
    requests = [
        Asked("/v1/page", f"Basic {BASIC}", "", good, origin),
        Asked("/v1/page", "Basic wrong", "", good, origin),
        Asked("/v1/page", f"Basic {BASIC}", "gzip", gzip.compress(good), origin),
        Asked("/v1/page", f"Basic {BASIC}", "gzip", good, origin),
        Asked("/v1/track", f"Basic {BASIC}", "", good, origin),
        Asked("/v1/t", "", "", b"{", origin),
        Asked("/v1/batch", f"Bearer {KEY}", "", b'{"batch":[7,' + good + b"]}", origin),
        Asked("/v1/batch", f"Bearer {KEY}", "x-unknown", b"{", origin),
    ]
    async with client_for(app) as client:
        for asked in requests:
            given = {
                "Authorization": asked.authorization,
                "Content-Encoding": asked.encoding,
                "Origin": asked.origin,
            }
            headers = {name: value for name, value in given.items() if value}
            response = await client.post(asked.path, content=asked.body, headers=headers)
            reply = await answer(asked)
            assert (reply.status, reply.body) == (response.status_code, response.content)
            said = {(name.decode().lower(), value.decode()) for name, value in reply.headers}
            expected = {pair for pair in response.headers.items() if pair[0] != "content-length"}
            assert {pair for pair in said if pair[0] != "content-length"} == expected
