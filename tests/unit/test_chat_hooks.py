"""Chat tools: who is believed, and what their conversations become."""

import hmac
import json
from typing import Any

import msgspec
import pytest

from services.ingest.hooks.chatwoot import Chatwoot
from services.ingest.hooks.intercom import Intercom
from services.ingest.hooks.meta import Meta
from services.ingest.hooks.model import Delivery, Hook, Reply
from services.ingest.hooks.plain import from_html
from tests.hooking import NOW, Tray, doorway, source
from tests.posting import accepted, knowing, posted, translated

AT = "2026-03-14T09:20:00Z"
SECONDS = 1773480000


def code(verdict: Any) -> str | None:
    return None if verdict is None else str(verdict.code)


def said_of(hook: Hook, body: Any, options: Any = None) -> list[dict[str, Any]]:
    """The accepted events, without what every event has."""
    found = []
    for event in accepted(hook, body, options):
        said = msgspec.json.decode(event.value)
        for name in ("receivedAt", "originalTimestamp", "source", "type"):
            said.pop(name, None)
        said["context"].pop("library")
        found.append({"topic": event.topic, "key": event.key, **said})
    return found


# -- Chatwoot -----------------------------------------------------------------------------

SECRET = "whs-secret"


def by_chatwoot(body: Any, secret: str = SECRET, at: float = NOW.timestamp()) -> Delivery:
    raw, timestamp = json.dumps(body).encode(), str(int(at))
    digest = hmac.new(secret.encode(), timestamp.encode() + b"." + raw, "sha256").hexdigest()
    headers = {"x-chatwoot-signature": f"sha256={digest}", "x-chatwoot-timestamp": timestamp}
    return posted(raw, headers=headers)


def test_chatwoot_is_known_by_its_signature() -> None:
    secrets = knowing(webhook_secret=["old", SECRET], token="word")
    good = by_chatwoot({})
    assert Chatwoot().verify(good, secrets, {}) is None
    for strange in (
        by_chatwoot({}, "another"),
        posted(b"[]", headers=good.headers),
        posted({}, headers={**good.headers, "x-chatwoot-timestamp": "1"}),
        posted({}, query={"token": "word"}),
    ):
        assert code(Chatwoot().verify(strange, secrets, {})) == "bad_signature"
    old = by_chatwoot({}, at=NOW.timestamp() - 1_000)
    assert code(Chatwoot().verify(old, secrets, {"tolerance_seconds": 300})) == "stale_signature"
    assert code(Chatwoot().verify(good, knowing(), {})) == "missing_secret"


@pytest.mark.parametrize(
    ("query", "outcome"),
    [({"token": "word"}, None), ({"token": "x"}, "bad_secret"), ({}, "bad_secret")],
)
def test_a_chatwoot_that_does_not_sign_is_known_by_a_token(query: Any, outcome: Any) -> None:
    assert code(Chatwoot().verify(posted({}, query=query), knowing(token="word"), {})) == outcome


CONTACT = {
    "id": 9,
    "name": "Ann",
    "email": "ann@shop.example",
    "phone_number": None,
    "identifier": "u-1",
    "type": "contact",
}


def conversation(**more: Any) -> dict[str, Any]:
    return {
        "id": 7,
        "status": "open",
        "channel": "Channel::WebWidget",
        "created_at": SECONDS,
        "updated_at": SECONDS + 90.5,
        "contact_inbox": {"contact_id": 9, "source_id": "browser", "hmac_verified": False},
        "meta": {"sender": CONTACT, "hmac_verified": False},
        "account": {"id": 3},
        **more,
    }


def message(direction: str = "incoming", **more: Any) -> dict[str, Any]:
    return {
        "event": "message_created",
        "id": 501,
        "content": "Is the tea back?",
        "message_type": direction,
        "created_at": "2026-03-14T09:20:00.000Z",
        "private": False,
        "sender": CONTACT if direction == "incoming" else {"id": 2, "name": "Bo", "type": "user"},
        "inbox": {"id": 1, "name": "Shop"},
        "conversation": conversation(),
        "account": {"id": 3, "name": "Tea"},
        **more,
    }


PERSON = {
    "topic": "events.chats",
    "key": "chatwoot:3:9",
    "anonymousId": "chatwoot:3:9",
    "context": {
        "traits": {"email": "ann@shop.example", "name": "Ann"},
        "externalIds": [
            {"id": "9", "type": "chatwoot_contact_id", "collection": "users", "encoding": "none"}
        ],
    },
}
ABOUT = {"conversation_id": "7", "channel": "Channel::WebWidget"}


def test_what_a_visitor_says_in_chatwoot() -> None:
    assert said_of(Chatwoot(), message()) == [
        PERSON
        | {
            "messageId": "chatwoot:3:message:501",
            "event": "Live Chat Message Sent",
            "timestamp": AT,
            "properties": ABOUT
            | {"inbox": "Shop", "message_id": "501", "text": "Is the tea back?"},
        }
    ]


def test_what_an_agent_says_in_chatwoot_is_still_the_visitors_conversation() -> None:
    [event] = said_of(Chatwoot(), message("outgoing", attachments=[{"id": 1}, {"id": 2}]))
    assert event == PERSON | {
        "messageId": "chatwoot:3:message:501",
        "event": "Live Chat Message Received",
        "timestamp": AT,
        "properties": ABOUT
        | {
            "inbox": "Shop",
            "message_id": "501",
            "text": "Is the tea back?",
            "attachments": 2,
            "agent_id": "2",
            "agent_name": "Bo",
        },
    }


def test_what_chatwoot_says_by_itself_is_automatic() -> None:
    [event] = said_of(Chatwoot(), message("template", sender=None))
    assert (event["event"], event["properties"]["automatic"]) == (
        "Live Chat Message Received",
        True,
    )


def test_an_identifier_is_a_user_id_only_where_it_was_verified() -> None:
    verified = message(conversation=conversation(meta={"sender": CONTACT, "hmac_verified": True}))
    assert said_of(Chatwoot(), verified)[0]["userId"] == "u-1"
    assert "userId" not in said_of(Chatwoot(), message())[0]


def test_the_turns_of_a_conversation() -> None:
    created = conversation(event="conversation_created")
    resolved = conversation(event="conversation_status_changed", status="resolved")
    reopened = conversation(
        event="conversation_status_changed",
        changed_attributes=[{"status": {"previous_value": "resolved", "current_value": "open"}}],
    )
    events = [said_of(Chatwoot(), said)[0] for said in (created, resolved, reopened)]
    assert [(e["messageId"], e["event"], e["timestamp"], e["properties"]) for e in events] == [
        ("chatwoot:3:conversation:7:created:", "Live Chat Conversation Started", AT, ABOUT),
        (
            "chatwoot:3:conversation:7:resolved:1773480090.5",
            "Live Chat Conversation Ended",
            "2026-03-14T09:21:30.500000Z",
            ABOUT | {"conversation_duration": 90},
        ),
        (
            "chatwoot:3:conversation:7:reopened:1773480090.5",
            "Live Chat Conversation Reopened",
            "2026-03-14T09:21:30.500000Z",
            ABOUT,
        ),
    ]


def test_a_contact_of_chatwoot_is_a_person_with_traits() -> None:
    said = {"event": "contact_updated", "account": {"id": 3}, **CONTACT}
    [event], [other] = said_of(Chatwoot(), said), said_of(Chatwoot(), said | {"name": "Anna"})
    assert (event["topic"], event["anonymousId"]) == ("events.people", "chatwoot:3:9")
    assert event["traits"] == {"email": "ann@shop.example", "name": "Ann"}
    assert event["messageId"] == said_of(Chatwoot(), said)[0]["messageId"] != other["messageId"]
    assert "ann" not in event["messageId"]


@pytest.mark.parametrize(
    "said",
    [
        {},
        [],
        message(private=True),
        message("activity"),
        message(id=None),
        message(conversation={}, sender={"id": 2, "type": "user"}),
        conversation(event="conversation_status_changed", status="pending"),
        conversation(event="conversation_updated"),
        {"event": "contact_created"},
        {"event": "webwidget_triggered"},
    ],
)
def test_what_is_nothing_for_a_timeline_is_ignored(said: Any) -> None:
    outcome = translated(Chatwoot(), said)
    assert (outcome.events, [fault.code for fault in outcome.ignored]) == ([], ["not_translated"])


# -- Intercom -----------------------------------------------------------------------------


def test_intercom_is_known_by_its_signature() -> None:
    body, secrets = b'{"topic": "ping"}', knowing(client_secret="word")
    digest = hmac.new(b"word", body, "sha1").hexdigest()
    good = posted(body, headers={"x-hub-signature": f"sha1={digest}"})
    assert Intercom().verify(good, secrets, {}) is None
    for strange in (posted(b"{}", headers=good.headers), posted(body)):
        assert code(Intercom().verify(strange, secrets, {})) == "bad_signature"
    assert code(Intercom().verify(good, knowing(), {})) == "missing_secret"


AUTHOR = {"type": "user", "id": "c-1", "name": "Ann", "email": "ann@shop.example"}


def notified(topic: str, item: Any, **more: Any) -> dict[str, Any]:
    return {
        "type": "notification_event",
        "app_id": "tea",
        "id": "notif_1",
        "topic": topic,
        "created_at": SECONDS + 60,
        "data": {"type": "notification_event_data", "item": item},
        **more,
    }


def intercom(*replies: Any) -> dict[str, Any]:
    return {
        "type": "conversation",
        "id": "77",
        "created_at": SECONDS,
        "source": {
            "type": "conversation",
            "id": "m1",
            "body": "<p>Is the tea&nbsp;back?</p><p>Ann &amp; Bo</p>",
            "author": AUTHOR,
            "attachments": [],
        },
        "contacts": {"contacts": [{"type": "contact", "id": "c-1", "external_id": "u-1"}]},
        "conversation_parts": {"conversation_parts": list(replies)},
    }


VISITOR = {
    "topic": "events.chats",
    "key": "intercom:c-1",
    "anonymousId": "intercom:c-1",
    "context": {
        "traits": {"email": "ann@shop.example", "name": "Ann"},
        "externalIds": [
            {"id": id, "type": type, "collection": "users", "encoding": "none"}
            for id, type in (("c-1", "intercom_contact_id"), ("u-1", "intercom_external_id"))
        ],
    },
}
TALK = {"conversation_id": "77", "channel": "conversation"}


def test_a_new_conversation_in_intercom_is_a_message_too() -> None:
    said = notified("conversation.user.created", intercom())
    assert said_of(Intercom(), said) == [
        VISITOR
        | {
            "messageId": "intercom:tea:conversation:77:started",
            "event": "Live Chat Conversation Started",
            "timestamp": AT,
            "properties": TALK,
        },
        VISITOR
        | {
            "messageId": "intercom:tea:source:77:m1",
            "event": "Live Chat Message Sent",
            "timestamp": AT,
            "properties": TALK | {"message_id": "m1", "text": "Is the tea back?\n\nAnn & Bo"},
        },
    ]


def test_replies_in_intercom() -> None:
    part = {"id": "p1", "part_type": "comment", "body": "<b>Yes</b>", "created_at": SECONDS}
    by_ann = notified("conversation.user.replied", intercom(part | {"author": AUTHOR}))
    agent = {"type": "admin", "id": "a-1", "name": "Bo"}
    by_bo = notified("conversation.admin.replied", intercom(part | {"author": agent}))
    assert [(e["event"], e["properties"]) for e in said_of(Intercom(), by_ann)] == [
        ("Live Chat Message Sent", TALK | {"message_id": "p1", "text": "Yes"})
    ]
    assert [(e["event"], e["properties"]) for e in said_of(Intercom(), by_bo)] == [
        (
            "Live Chat Message Received",
            TALK | {"message_id": "p1", "text": "Yes", "agent_id": "a-1", "agent_name": "Bo"},
        )
    ]
    assert said_of(Intercom(), by_bo)[0]["messageId"] == "intercom:tea:part:77:p1"


def test_a_closed_conversation_in_intercom_has_ended() -> None:
    [event] = said_of(Intercom(), notified("conversation.admin.closed", intercom()))
    assert (event["event"], event["timestamp"]) == (
        "Live Chat Conversation Ended",
        "2026-03-14T09:21:00Z",
    )


def test_a_contact_of_intercom_is_a_person_with_traits() -> None:
    contact = {"type": "contact", "id": "c-1", "external_id": "u-1", "email": "ann@shop.example"}
    said = notified("contact.user.created", contact)
    [event] = said_of(Intercom(), said)
    assert (event["topic"], event["traits"]) == ("events.people", {"email": "ann@shop.example"})
    assert "userId" not in event
    assert said_of(Intercom(), said, {"user_ids": True})[0]["userId"] == "u-1"


@pytest.mark.parametrize(
    "said",
    [
        {},
        [],
        notified("ping", {"type": "ping"}),
        notified("conversation.admin.noted", intercom()),
        notified("conversation.user.created", {"id": "1"}),
        notified("conversation.user.replied", intercom({"id": "p1"})),
        notified("contact.deleted", {"id": "c-1"}),
        notified("contact.user.created", None),
    ],
)
def test_what_intercom_says_beside_is_ignored(said: Any) -> None:
    outcome = translated(Intercom(), said)
    assert (outcome.events, [fault.code for fault in outcome.ignored]) == ([], ["not_translated"])


# -- Meta ---------------------------------------------------------------------------------


def asking(**query: str) -> Delivery:
    return posted(method="GET", query={f"hub.{name}": value for name, value in query.items()})


def test_meta_is_given_its_challenge_back_for_the_right_word() -> None:
    secrets = knowing(verify_token="word", app_secret="key")
    good = asking(mode="subscribe", verify_token="word", challenge="1158201444")
    assert Meta().verify(good, secrets, {}) == Reply(b"1158201444")
    for strange in (
        asking(mode="subscribe", verify_token="words", challenge="1"),
        asking(mode="unsubscribe", verify_token="word", challenge="1"),
        asking(challenge="1"),
    ):
        assert code(Meta().verify(strange, secrets, {})) == "bad_secret"
    empty = asking(mode="subscribe", verify_token="", challenge="1")
    assert code(Meta().verify(empty, knowing(verify_token=""), {})) == "bad_secret"
    assert code(Meta().verify(good, knowing(app_secret="key"), {})) == "bad_secret"


def test_meta_is_known_by_its_signature() -> None:
    body, secrets = b'{"object": "page", "entry": []}', knowing(app_secret="key")
    digest = hmac.new(b"key", body, "sha256").hexdigest()
    good = posted(body, headers={"x-hub-signature-256": f"sha256={digest}"})
    assert Meta().verify(good, secrets, {}) is None
    for strange in (posted(b"{}", headers=good.headers), posted(body)):
        assert code(Meta().verify(strange, secrets, {})) == "bad_signature"


async def test_the_handshake_over_http_is_plain_text() -> None:
    meta = source("meta", {"verify_token": ["word"], "app_secret": ["key"]})
    query = {"hub.mode": "subscribe", "hub.verify_token": "word", "hub.challenge": "<b>9</b>"}
    async with doorway(Tray(), meta) as client:
        right = await client.get("/v1/hooks/shop", params=query)
        wrong = await client.get("/v1/hooks/shop", params=query | {"hub.verify_token": "x"})
    assert (right.status_code, right.text) == (200, "<b>9</b>")
    assert right.headers["content-type"] == "text/plain; charset=utf-8"
    assert (wrong.status_code, wrong.json()["code"]) == (401, "bad_secret")


def meta(*messages: Any, kind: str = "page", **entry: Any) -> dict[str, Any]:
    entry = {"id": "p-1", "time": SECONDS * 1_000, "messaging": list(messages), **entry}
    return {"object": kind, "entry": [entry]}


def says(text: str = "Hello", **more: Any) -> dict[str, Any]:
    return {
        "sender": {"id": "u-1"},
        "recipient": {"id": "p-1"},
        "timestamp": SECONDS * 1_000 + 250,
        "message": {"mid": "m_1", "text": text, **more},
    }


ECHO = says("At your service", mid="m_2", is_echo=True) | {
    "sender": {"id": "p-1"},
    "recipient": {"id": "u-1"},
}


@pytest.mark.parametrize(
    ("kind", "channel", "type"),
    [("page", "messenger", "messenger_psid"), ("instagram", "instagram", "instagram_igsid")],
)
def test_messages_of_a_person_and_of_the_page(kind: str, channel: str, type: str) -> None:
    said = meta(says(attachments=[{"type": "image"}]), ECHO, kind=kind)
    person = {
        "topic": "events.chats",
        "key": f"{channel}:u-1",
        "anonymousId": f"{channel}:u-1",
        "timestamp": "2026-03-14T09:20:00Z",
        "context": {
            "externalIds": [{"id": "u-1", "type": type, "collection": "users", "encoding": "none"}]
        },
    }
    about = {"conversation_id": f"{channel}:p-1:u-1", "channel": channel}
    assert said_of(Meta(), said) == [
        person
        | {
            "messageId": f"meta:{channel}:m_1",
            "event": "Live Chat Message Sent",
            "properties": about | {"message_id": "m_1", "text": "Hello", "attachments": 1},
        },
        person
        | {
            "messageId": f"meta:{channel}:m_2",
            "event": "Live Chat Message Received",
            "properties": about | {"message_id": "m_2", "text": "At your service"},
        },
    ]


def test_a_button_of_messenger_is_an_answer() -> None:
    button = says() | {"message": None, "postback": {"mid": "m_3", "title": "Yes", "payload": "Y"}}
    [event] = said_of(Meta(), meta(button))
    assert (event["properties"]["text"], event["properties"]["payload"]) == ("Yes", "Y")


def test_messages_while_another_app_answers_are_heard_too() -> None:
    assert len(said_of(Meta(), meta(standby=[says()]))) == 1


COMMENT = {
    "item": "comment",
    "verb": "add",
    "comment_id": "c-1",
    "post_id": "post-1",
    "parent_id": "post-1",
    "from": {"id": "u-2", "name": "Ann"},
    "message": "Lovely",
    "created_time": SECONDS,
}
MEDIA_COMMENT = {
    "id": "c-2",
    "from": {"id": "u-3", "username": "ann"},
    "media": {"id": "media-1"},
    "text": "Lovely",
}


def test_comments_on_posts() -> None:
    page = meta(changes=[{"field": "feed", "value": COMMENT}])
    nested = meta(kind="instagram", changes=[{"field": "comments", "value": MEDIA_COMMENT}])
    flat = meta(kind="instagram", field="comments", value=MEDIA_COMMENT)
    on_page, on_media = said_of(Meta(), page)[0], said_of(Meta(), nested)[0]
    assert said_of(Meta(), flat)[0] == on_media
    assert [(e["messageId"], e["event"], e["topic"]) for e in (on_page, on_media)] == [
        ("meta:messenger:comment:c-1", "Social Comment Posted", "events.chats"),
        ("meta:instagram:comment:c-2", "Social Comment Posted", "events.chats"),
    ]
    assert on_page["properties"] == {
        "channel": "messenger",
        "author": "Ann",
        "comment_id": "c-1",
        "parent_id": "post-1",
        "post_id": "post-1",
        "text": "Lovely",
    }
    assert (on_media["anonymousId"], on_media["timestamp"]) == ("instagram:u-3", AT)


@pytest.mark.parametrize(
    "said",
    [
        {},
        [],
        meta(kind="user"),
        meta(says() | {"message": None, "read": {"watermark": 1}}),
        meta(says(is_deleted=True)),
        meta(says(mid=None)),
        meta(says() | {"sender": None}),
        meta(changes=[{"field": "feed", "value": COMMENT | {"verb": "remove"}}]),
        meta(changes=[{"field": "feed", "value": COMMENT | {"from": {"id": "p-1"}}}]),
        meta(changes=[{"field": "feed", "value": {"item": "like"}}]),
        meta(changes=[{"field": "mentions", "value": {}}]),
        meta(changes=[{"field": "comments", "value": MEDIA_COMMENT}]),
    ],
)
def test_what_meta_says_beside_is_ignored(said: Any) -> None:
    outcome = translated(Meta(), said)
    assert (outcome.events, [fault.code for fault in outcome.ignored]) == ([], ["not_translated"])


# -- all ----------------------------------------------------------------------------------


def test_a_long_message_is_cut_and_still_fits() -> None:
    for said, hook in (
        (message(content="\U0001f375" * 50_000), Chatwoot()),
        (meta(says("\U0001f375" * 50_000)), Meta()),
        (notified("conversation.user.created", intercom() | {"source": {
            "id": "m1", "author": AUTHOR, "body": "<p>" + "\U0001f375" * 50_000}}), Intercom()),
    ):  # fmt: skip
        assert len(said_of(hook, said)[-1]["properties"]["text"]) == 5_000


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One</p><p>Two</p>", "One\n\nTwo"),
        ("One<br>Two<br/>\nThree", "One\nTwo\nThree"),
        ("<ul><li>a<li>b</ul>", "a\n\nb"),
        ("a &lt;b&gt; &amp; c", "a <b> & c"),
        ("<script>alert(1)</script>x<style>p{}</style>", "x"),
        ("<p title='<p>'>a</p><!-- b -->", "a"),
        ("<img src=x onerror=alert(1)>caught <a href='//e.example'>here</a>", "caught here"),
        ("&lt;script&gt;", "<script>"),
        ("<p>\x00\ud83d</p>", "?"),
        ("", ""),
        ("<div>" * 20_000 + "deep", "deep"),
    ],
)
def test_html_is_read_as_text(html: str, text: str) -> None:
    assert from_html(html) == text
