"""Whatever a provider sends, no hook stumbles, and what it makes of it is an event or a reason."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.validation import Fault
from services.ingest.hooks.event import encode
from services.ingest.hooks.model import Delivery, Hook, Options
from services.ingest.hooks.registry import BY_KIND
from services.ingest.model import Accepted, Receipt, Shared
from services.ingest.rules import accept
from tests.hooking import NOW, Tray, doorway, source
from tests.tried import tried

KINDS = ["sendgrid", "ses", "mailgun", "postmark", "chatwoot", "intercom", "meta"]
WHO = {"id": "9", "email": "ann@shop.example", "type": "contact", "name": "Ann"}
WHEN = 1773480000
SES = {
    "eventType": "Bounce",
    "mail": {"messageId": "m", "destination": ["ann@shop.example"], "headers": [{}], "tags": {}},
    "bounce": {"timestamp": "2026-03-14T09:20:00Z", "bouncedRecipients": [{"emailAddress": "a@b"}]},
}
SAMPLES: dict[str, Any] = {
    "sendgrid": [
        {
            "event": "bounce",
            "sg_event_id": "1",
            "email": "ann@shop.example",
            "timestamp": WHEN,
            "category": ["a"],
        }
    ],
    "ses": {"Type": "Notification", "Message": json.dumps(SES), "TopicArn": "t"},
    "mailgun": {
        "signature": {"timestamp": str(WHEN), "token": "t", "signature": "00"},
        "event-data": {
            "event": "failed",
            "id": "1",
            "timestamp": 1.5,
            "recipient": "ann@shop.example",
            "message": {"headers": {"message-id": "m@d"}},
            "client-info": {"bot": "apple"},
            "delivery-status": {"code": 1},
        },
    },
    "postmark": {
        "RecordType": "Bounce",
        "Type": "HardBounce",
        "MessageID": "m",
        "Email": "ann@shop.example",
        "BouncedAt": "2026-03-14T09:20:00Z",
        "Metadata": {},
    },
    "chatwoot": {
        "event": "message_created",
        "id": 1,
        "message_type": "incoming",
        "content": "x",
        "created_at": WHEN,
        "account": {"id": 1},
        "attachments": [{}],
        "changed_attributes": [{"status": {"previous_value": "resolved"}}],
        "status": "open",
        "conversation": {"id": 1, "meta": {"sender": WHO}, "contact_inbox": {"contact_id": 1}},
    },
    "intercom": {
        "topic": "conversation.user.created",
        "id": "n",
        "app_id": "a",
        "created_at": WHEN,
        "data": {
            "item": {
                "id": "1",
                "source": {"id": "1", "body": "<p>", "author": WHO},
                "contacts": {"contacts": [WHO]},
                "conversation_parts": {"conversation_parts": [{"id": "1", "body": "x"}]},
            }
        },
    },
    "meta": {
        "object": "page",
        "entry": [
            {
                "id": "1",
                "time": WHEN,
                "messaging": [
                    {
                        "sender": {"id": "2"},
                        "recipient": {"id": "1"},
                        "timestamp": WHEN,
                        "message": {"mid": "m", "text": "x", "attachments": [{}]},
                    }
                ],
                "changes": [
                    {
                        "field": "feed",
                        "value": {
                            "item": "comment",
                            "verb": "add",
                            "comment_id": "c",
                            "from": {"id": "3"},
                            "created_time": WHEN,
                        },
                    }
                ],
            }
        ],
    },
}
ODD: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.sampled_from(
        [
            "\x00",
            "",
            "a@b",
            "0",
            "²",
            "1e999",
            "9" * 400,
            "x" * 40_000,
            "2026-13-01",
            "<p>",
            "\u2028",
        ]
    )
    | st.just([])
    | st.just({})
    | st.just([[], {}, None, 7, "x"])
    | st.just({"id": {"id": []}})
)


def places(said: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where in a JSON value something could be else."""
    yield path
    inner: Any = ()
    if isinstance(said, dict):
        inner = said.items()
    elif isinstance(said, list):
        inner = enumerate(said)
    for name, value in inner:
        yield from places(value, (*path, name))


def changed(said: Any, path: tuple[Any, ...], odd: Any) -> Any:
    if not path:
        return odd
    copy = said.copy()
    try:
        copy[path[0]] = changed(said[path[0]], path[1:], odd)
    except (KeyError, IndexError, TypeError, AttributeError):
        return odd
    return copy


@st.composite
def nearly(draw: st.DrawFn, kind: str) -> bytes:
    """A sample with a few values that are something else."""
    said = SAMPLES[kind]
    if kind == "ses" and draw(st.booleans()):
        inner = draw(mutated(SES))
        return json.dumps({**said, "Message": json.dumps(inner)}).encode()
    return json.dumps(draw(mutated(said))).encode()


@st.composite
def mutated(draw: st.DrawFn, said: Any) -> Any:
    for _ in range(draw(st.integers(1, 4))):
        if isinstance(said, dict | list):
            said = changed(said, draw(st.sampled_from(list(places(said)))), draw(ODD))
    return said


def bodies(kind: str) -> st.SearchStrategy[bytes]:
    return nearly(kind) | ODD.map(lambda odd: json.dumps(odd).encode()) | st.binary(max_size=50)


def delivery(body: bytes) -> Delivery:
    return Delivery(
        source="s", method="POST", url="", headers={}, query={}, body=body, received_at=NOW
    )


def verdict_of(hook: Hook, sent: Delivery, options: Options) -> Any:
    verdict = hook.verify(sent, lambda _name: ["word"], options)
    return asyncio.run(verdict) if asyncio.iscoroutine(verdict) else verdict


@pytest.mark.parametrize("kind", KINDS)
def test_the_sample_is_understood(kind: str) -> None:
    outcome = BY_KIND[kind].translate(delivery(json.dumps(SAMPLES[kind]).encode()), {})
    assert not isinstance(outcome, Fault)
    assert outcome.events


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@tried(150)
def test_no_hook_stumbles(kind: str, data: st.DataObject) -> None:
    body = data.draw(bodies(kind))
    options = {"topic_arns": ["t"]} if kind == "ses" else {}
    outcome = BY_KIND[kind].translate(delivery(body), {})
    assert verdict_of(BY_KIND[kind], delivery(body), options) is not None
    if isinstance(outcome, Fault):
        return
    receipt = Receipt("s", NOW, lambda: "made-up")
    for event in outcome.events:
        assert event["messageId"].startswith(f"{kind}:")
        judged = accept(encode(event), None, Shared(), receipt)
        assert isinstance(judged, Accepted) or isinstance(judged[0], Fault)
    again = BY_KIND[kind].translate(delivery(body), {})
    assert again == outcome


@given(kind=st.sampled_from(KINDS), data=st.data())
@tried(60)
async def test_nothing_unsigned_comes_in_and_nothing_breaks(kind: str, data: st.DataObject) -> None:
    tray = Tray()
    async with doorway(tray, source(kind, {}, {})) as client:
        response = await client.post("/v1/hooks/shop", content=data.draw(bodies(kind)))
    assert (response.status_code, tray.records) == (401, [])
