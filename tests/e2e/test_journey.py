"""The spine: one order's way through every service, each a process of its own."""

import json
import os
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from deploy.demo.addresses import MAIL, name_of
from deploy.demo.environment import SOURCE
from deploy.demo.supervisor import Supervisor
from services.ingest.hooks.signature import sign
from services.processes import WORKERS
from tests.hooking import example, examples
from tests.storefront import Client, eventually, quiet
from tests.unit.test_chat_hooks import CONTACT, by_chatwoot, message
from tests.unit.test_chat_hooks import SECRET as CHAT_SECRET
from tests.unit.test_mail_hooks import by_sendgrid, sendgrid, shown_by_sendgrid, signer

pytestmark = pytest.mark.broker

ANN = "ann@example.com"
DAY = datetime.now(UTC).date().isoformat()

EVENTS: list[dict[str, Any]] = [
    {
        "type": "page",
        "messageId": "m-1",
        "anonymousId": "laptop",
        "timestamp": f"{DAY}T00:00:01Z",
        "name": "Home",
    },
    {
        "type": "identify",
        "messageId": "m-2",
        "anonymousId": "laptop",
        "userId": "ann",
        "timestamp": f"{DAY}T00:00:02Z",
        "traits": {"email": ANN, "firstName": "Ann"},
        "context": {"consent": {"categoryPreferences": {"email": True}}},
    },
    {
        "type": "track",
        "event": "order completed",
        "messageId": "m-3",
        "userId": "ann",
        "timestamp": f"{DAY}T00:00:03Z",
        "properties": {
            "order_id": "o-1",
            "currency": "USD",
            "revenue": "19.90",
            "products": [{"product_id": "p-1", "name": "Mug", "price": 9.95, "quantity": 2}],
        },
    },
]
BUYERS = {"name": "Buyers", "rule": {"fact": "order_count", "op": "gte", "value": 1}}
THANKS = {
    "name": "Thanks",
    "trigger": {"segment": "buyers"},
    "from": "Shop <hello@shop.example>",
    "subject": "Thank you, {{ traits.firstName }}",
    "text": "Stop: {{ unsubscribe_url }}",
}


async def test_an_order_becomes_profile_membership_mail_and_revenue(
    regulars: Supervisor, shop: Client
) -> None:
    await shop.put("segmentation", "/v1/segments/buyers", BUYERS)
    await shop.put("notifier", "/v1/campaigns/thanks", THANKS)

    assert (await shop.send(EVENTS))["accepted"] == 3

    ann = await eventually(
        lambda: shop.get("profile", "/v1/profiles/by/user_id/ann"),
        lambda found: found is not None and found["order_count"] == 1,
    )
    assert ann is not None
    assert ann["traits"] == {"email": ANN, "firstName": "Ann"}
    assert ann["revenue"] == [{"amount": "19.90", "currency": "USD"}]
    assert ann["consent"]["email"]["state"] == "granted"
    assert {(item["type"], item["value"]) for item in ann["identifiers"]} == {
        ("anonymous_id", "laptop"),
        ("user_id", "ann"),
        ("email", ANN),
    }

    members = await eventually(
        lambda: shop.items("segmentation", "/v1/segments/buyers/members"), bool
    )
    assert [member["profile_id"] for member in members] == [ann["profile_id"]]

    mails = await eventually(lambda: shop.items(MAIL, f"/messages?to={ANN}"), bool)
    assert [mail["subject"] for mail in mails] == ["Thank you, Ann"]

    message_id = mails[0]["headers"]["X-Regulars-Message"]
    await eventually(lambda: _told(shop, message_id), lambda told: told == ["decided", "sent"])
    assert (await shop.send(_opened(message_id)))["accepted"] == 2
    await eventually(lambda: _funnel(shop), lambda told: told.get("opened") == 1)

    link = mails[0]["headers"]["List-Unsubscribe"].strip("<>")
    assert link in mails[0]["text"].replace("\n", "")
    assert await shop.post(link) == 200
    withdrawn = await eventually(
        lambda: shop.get("profile", f"/v1/profiles/{ann['profile_id']}"),
        lambda found: found is not None and found["consent"]["email"]["state"] == "withdrawn",
    )
    assert withdrawn is not None

    await quiet(regulars)
    timeline = await shop.items("profile", f"/v1/profiles/{ann['profile_id']}/interactions")
    assert [entry["name"] for entry in timeline] == [
        "Message Unsubscribed",
        "Message Opened",
        "Email Opened",
        "Email Opened",
        "Message Sent",
        "Order Completed",
        "Identify",
        "Page Viewed",
    ]
    assert await _reported(shop) == [("19.90", 1)]
    assert await _funnel(shop) == {"decided": 1, "sent": 1, "opened": 1, "unsubscribed": 1}


async def test_the_same_events_again_change_nothing(regulars: Supervisor, shop: Client) -> None:
    before = await _state(shop)
    assert before["order_count"] == 1

    [mail] = before["mails"]
    for event in (*EVENTS, *_opened(mail["headers"]["X-Regulars-Message"])):
        await shop.send([event])
    await quiet(regulars)

    assert await _state(shop) == before


def test_workers_let_everything_else_go_first(regulars: Supervisor) -> None:
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    behind = {
        name: {
            os.getpriority(os.PRIO_PROCESS, int(thread.name)) - ours
            for thread in Path(f"/proc/{regulars.process(name).pid}/task").iterdir()
        }
        for name in regulars.names
    }
    workers = {name_of(spec) for spec in WORKERS}
    assert behind == {name: {int(name in workers)} for name in regulars.names}


async def test_a_killed_worker_comes_back_and_goes_on(regulars: Supervisor, shop: Client) -> None:
    pid = regulars.kill("profile-build")
    again = {**EVENTS[2], "messageId": "m-4", "properties": {"order_id": "o-2", "total": "0.10"}}
    await shop.send([again])

    ann = await eventually(
        lambda: shop.get("profile", "/v1/profiles/by/user_id/ann"),
        lambda found: found is not None and found["order_count"] == 2,
    )
    assert ann is not None
    assert ann["revenue"] == [{"amount": "20.00", "currency": "USD"}]
    assert regulars.process("profile-build").pid != pid


async def test_a_refused_order_is_repaired_and_counts_once(
    regulars: Supervisor, shop: Client
) -> None:
    wrong = {**EVENTS[2], "messageId": "m-5", "properties": {"order_id": "o-3", "total": "1,00"}}
    assert [one["code"] for one in (await shop.send([wrong]))["rejected"]] == ["bad_amount"]
    (letter,) = await eventually(lambda: shop.items("ingest", "/v1/dead-letters?text=m-5"), bool)
    assert (letter["source"], letter["reason"], letter["state"]) == (SOURCE, "bad_amount", "open")

    right = {**wrong, "properties": {"order_id": "o-3", "total": "1.00"}}
    path = f"/v1/dead-letters/{letter['id']}/replay"
    assert await shop.act("ingest", path, {"body": right}) == 202
    await eventually(
        lambda: shop.get("profile", "/v1/profiles/by/user_id/ann"),
        lambda found: found is not None and found["order_count"] == 3,
    )
    await shop.send([right])  # the sender has learned, too
    await quiet(regulars)
    after = await _state(shop)
    assert (after["order_count"], after["revenue"]) == (3, [{"amount": "21.00", "currency": "USD"}])
    assert await shop.act("ingest", path, {"body": right}) == 409


async def test_an_imported_past_counts_and_nobody_is_written_to(
    regulars: Supervisor, shop: Client
) -> None:
    who = {"userId": "bob", "timestamp": "2021-05-03T10:15:00Z"}
    traits = {"email": "bob@example.com", "firstName": "Bob"}
    consent = {"consent": {"categoryPreferences": {"email": True}}}
    past = [
        {**who, "type": "identify", "messageId": "old-1", "traits": traits, "context": consent},
        {**EVENTS[2], **who, "messageId": "old-2", "properties": {"order_id": "p", "total": 5}},
    ]
    assert (await shop.send(past, "/v1/import?history=true"))["accepted"] == 2

    await quiet(regulars)
    bob = await shop.get("profile", "/v1/profiles/by/user_id/bob")
    assert bob is not None
    assert (bob["order_count"], bob["consent"]["email"]["state"]) == (1, "granted")
    members = await shop.items("segmentation", "/v1/segments/buyers/members")
    assert bob["profile_id"] in {member["profile_id"] for member in members}
    messages = await shop.items("notifier", f"/v1/messages?profile_id={bob['profile_id']}")
    assert [(one["state"], one["reason"]) for one in messages] == [("skipped", "imported_history")]
    assert await shop.items(MAIL, "/messages?to=bob@example.com") == []


async def test_a_new_segment_is_computed_for_everybody_and_a_preview_knows_it(
    shop: Client,
) -> None:
    rule = {"event": "Order Completed", "op": "gte", "value": 4}
    await shop.put("segmentation", "/v1/segments/loyal", {"name": "Loyal", "rule": rule})
    loyal = await eventually(
        lambda: shop.get("segmentation", "/v1/segments/loyal"),
        lambda found: found is not None and found["state"] == "ready",
    )
    assert loyal is not None
    assert loyal["members"] == 0

    people = [await shop.get("profile", f"/v1/profiles/by/user_id/{who}") for who in ("ann", "bob")]
    ann, bob = [str(one and one["profile_id"]) for one in people]
    tried = await shop.tried(f"/v1/profiles/{ann}/merge", {"with": bob, "reason": "Perhaps."})
    [both] = [one["profile_id"] for one in tried["after"]]
    assert {one["segment"]: (one["before"], one["after"]) for one in tried["segments"]} == {
        "buyers": (sorted([ann, bob]), [both]),
        "loyal": ([], [both]),
    }


async def test_orders_of_a_till_and_of_a_storefront_on_kafka_are_hers_too(
    regulars: Supervisor, shop: Client
) -> None:
    before = await _state(shop)
    sold = {
        "till": "berlin-2",
        "receipt": "7",
        "occurred_at": f"{DAY}T00:00:04Z",
        "total": "11.90",
        "tax": "1.90",
        "currency": "USD",
        "customer": {"email": ANN},
    }
    back = {"kind": "return", "sale_id": "berlin-2/7", "receipt": "8", "total": "2.38"}
    key = await shop.key_of_a_new_source("tills", {"kind": "store", "default_currency": "USD"})
    sales = [sold, sold | back | {"tax": "0.38"}, {"till": "berlin-2"}]
    answer = await eventually(lambda: shop.upload(key, sales), lambda said: "accepted" in said)
    assert (answer["accepted"], [one["code"] for one in answer["rejected"]]) == (2, ["bad_sale"])

    written = datetime.now(UTC).replace(microsecond=0)
    order = {**EVENTS[2], "properties": {"orderId": "o-9", "total": "3.00", "currency": "usd"}}
    inner = {name: order[name] for name in ("type", "event", "userId", "properties")}
    cloud = {"specversion": "1.0", "id": "o-9-completed", "source": "till", "data": inner}
    producer = AIOKafkaProducer(bootstrap_servers=regulars.settings.kafka_url)
    await producer.start()
    try:
        await producer.send_and_wait(
            regulars.settings.topic("events.orders"),
            json.dumps(cloud | {"type": "example.order"}).encode(),
            key=b"ann",
            headers=[("content-type", b"application/cloudevents+json")],
            timestamp_ms=int(written.timestamp() * 1_000),
        )
    finally:
        await producer.stop()
    await quiet(regulars)

    after = await _state(shop)
    assert after["order_count"] == before["order_count"] + 2
    [was], [now] = before["revenue"], after["revenue"]
    # 10.00 without tax were sold, of which 2.00 came back, and 3.00 over Kafka
    assert Decimal(now["amount"]) - Decimal(was["amount"]) == Decimal("11.00")
    [cloudy] = [one for one in after["timeline"] if one["interaction_id"] == "o-9-completed"]
    assert cloudy["at"] == written.isoformat().replace("+00:00", "Z")


async def test_a_shop_platforms_webhooks_become_the_customers_order(
    regulars: Supervisor, shop: Client
) -> None:
    await shop.administer("/v1/sources/tea-room", {"kind": "shopify"})
    await shop.administer("/v1/sources/tea-room/secrets/app_secret", {"value": "shpss"})
    deliveries = {path.stem: example(path)[0] for path in examples("shopify")}

    async def deliver(name: str) -> int:
        said = deliveries[name]
        signed = {"x-shopify-hmac-sha256": sign(b"shpss", said.body)}
        return await shop.hook("tea-room", said.body, {**said.headers, **signed})

    await eventually(lambda: deliver("orders-updated-with-refund"), lambda status: status == 200)
    for late in ("orders-create", "orders-updated-with-refund", "customers-redact"):
        assert await deliver(late) == 200

    ada = await eventually(
        lambda: shop.get("profile", "/v1/profiles/by/user_id/6940131"),
        lambda found: found is not None and found["counters"].get("Order Completed") == 1,
    )
    assert ada is not None
    [order] = ada["orders"]
    assert (order["ordered_at"], order["total"]) == ("2026-03-14T08:12:37Z", "26.32")
    assert [refund["amount"] for refund in order["refunds"]] == ["15.61"]
    assert ada["revenue"] == [{"amount": "9.00", "currency": "EUR"}]
    assert ada["consent"]["email"]["state"] == "granted"


async def test_who_was_joined_at_a_kiosk_is_two_again_everywhere(
    regulars: Supervisor, shop: Client
) -> None:
    def sold(message_id: str, total: str, **who: str) -> dict[str, Any]:
        order = {"order_id": message_id, "currency": "USD", "revenue": total}
        common = {"messageId": message_id, "timestamp": f"{DAY}T00:00:05Z", "properties": order}
        return {"type": "track", "event": "Order Completed", **common, **who}

    def agreed(message_id: str, channel: str, **who: str) -> dict[str, Any]:
        said = {"properties": {"channel": channel, "state": "granted"}, "messageId": message_id}
        return {"type": "track", "event": "Consent Updated", **said, **who}

    async def people() -> tuple[dict[str, Any], dict[str, Any]]:
        """All that is told of the visitor and of Carl, but for how often it was told."""
        await quiet(regulars)
        members = await shop.items("segmentation", "/v1/segments/buyers/members")
        inside = {member["profile_id"] for member in members}
        found = [
            await shop.get("profile", f"/v1/profiles/by/{name}")
            for name in ("anonymous_id/kiosk", "user_id/carl")
        ]
        visitor, carl = (
            {**one, "version": 0, "buyer": one["profile_id"] in inside} for one in found if one
        )
        return visitor, carl

    likes, known = {"traits": {"likes": "tea"}}, {"traits": {"firstName": "Carl", "plan": "gold"}}
    identify = {"type": "identify", "timestamp": f"{DAY}T00:00:04Z"}
    said = [
        identify | likes | {"messageId": "k-0", "anonymousId": "kiosk"},
        identify | known | {"messageId": "k-1", "userId": "carl"},
        sold("k-2", "4.00", anonymousId="kiosk"),
        sold("k-3", "5.00", userId="carl"),
        agreed("k-4", "sms", anonymousId="kiosk"),
        agreed("k-5", "push", userId="carl"),
    ]
    assert (await shop.send(said))["accepted"] == 6
    visitor, carl = await people()
    tables = await _tables(shop)

    await shop.send(
        [identify | {"messageId": "k-6", "userId": "carl", "anonymousId": "kiosk", "traits": {}}]
    )
    one, same = await people()
    assert one == same
    assert one["profile_id"] == carl["profile_id"]
    assert one["traits"] == {"likes": "tea", "firstName": "Carl", "plan": "gold"}
    assert one["consent"] == visitor["consent"] | carl["consent"]
    assert [order["order_id"] for order in one["orders"]] == ["k-2", "k-3"]
    assert (one["revenue"], one["buyer"]) == ([{"amount": "9.00", "currency": "USD"}], True)
    assert await _tables(shop) != tables  # one customer less

    undo = {"merge": visitor["profile_id"], "reason": "It is a kiosk."}
    assert await shop.act("profile", f"/v1/profiles/{one['profile_id']}/unmerge", undo) == 200
    again, after = await people()
    assert again == visitor
    # What had joined them is Carl's, since it names him.
    assert after["counters"].pop("Identify") == carl["counters"].pop("Identify") + 1
    assert after == carl | {"interactions": carl["interactions"] + 1}
    assert await _tables(shop) == tables
    assert (visitor["buyer"], carl["buyer"]) == (True, True)


async def test_two_who_share_a_browser_have_each_their_own(
    regulars: Supervisor, shop: Client
) -> None:
    def seen(second: int, user: str = "") -> dict[str, Any]:
        who = {"anonymousId": "family-pc"} | ({"userId": user} if user else {})
        at = {"messageId": f"b-{second}", "timestamp": f"{DAY}T00:00:{second:02}Z"}
        kind = {"type": "identify", "traits": {}} if user else {"type": "page", "name": "Home"}
        return kind | who | at

    await shop.send([seen(10), seen(20, "dora"), seen(30), seen(40, "emil"), seen(50)])
    await quiet(regulars)
    await shop.send([seen(35), seen(45), seen(15)])  # late
    await quiet(regulars)
    timelines = {}
    for user in ("dora", "emil"):
        one = await shop.get("profile", f"/v1/profiles/by/user_id/{user}")
        assert one is not None
        items = await shop.items("profile", f"/v1/profiles/{one['profile_id']}/interactions")
        timelines[user] = [item["interaction_id"] for item in reversed(items)]
    assert timelines == {
        "dora": ["b-10", "b-15", "b-20", "b-30", "b-35"], "emil": ["b-40", "b-45", "b-50"],
    }  # fmt: skip


async def test_last_years_words_that_are_imported_today_change_nothing_current(
    regulars: Supervisor, shop: Client
) -> None:
    def said(year: str, id: str, city: str, granted: bool) -> dict[str, Any]:
        return {
            "type": "identify", "messageId": id, "userId": "fay", "timestamp": f"{year}T00:00:06Z",
            "traits": {"city": city, "email": f"fay@{city}.example"},
            "context": {"consent": {"categoryPreferences": {"sms": granted}}},
        }  # fmt: skip

    await shop.send([said(DAY, "f-1", "bern", True)])
    await quiet(regulars)
    before = await shop.get("profile", "/v1/profiles/by/user_id/fay")
    past = [said("2021-05-03", "f-2", "rome", False), said("2022-05-03", "f-3", "oslo", False)]
    assert (await shop.send(past, "/v1/import?history=true"))["accepted"] == 2
    await quiet(regulars)
    after = await shop.get("profile", "/v1/profiles/by/user_id/fay")
    assert before is not None
    assert after is not None
    for current in ("traits", "consent", "last_seen", "orders", "computed"):
        assert after[current] == before[current]
    assert after["first_seen"] == "2021-05-03T00:00:06Z"
    path = f"/v1/profiles/{after['profile_id']}/traits/city/history"
    history = await shop.items("profile", path)
    assert [(one["value"], one["holds"]) for one in history] == [
        ("bern", True), ("oslo", False), ("rome", False),
    ]  # fmt: skip


async def test_one_person_by_web_app_shop_mail_and_chat_is_one_timeline(
    regulars: Supervisor, shop: Client
) -> None:
    """Ada, whose orders came by the shop's webhooks above."""
    mail = "ada@shop.example"
    await shop.administer("/v1/sources/mails", {"kind": "sendgrid"})
    key = shown_by_sendgrid(signer("now"))
    await shop.administer("/v1/sources/mails/secrets/verification_key", {"value": key})
    await shop.administer("/v1/sources/chats", {"kind": "chatwoot"})
    await shop.administer("/v1/sources/chats/secrets/webhook_secret", {"value": CHAT_SECRET})
    web = {"type": "page", "messageId": "w-1", "anonymousId": "a-77", "name": "Home"}
    app = {"type": "screen", "messageId": "w-2", "anonymousId": "app-1", "userId": "6940131"}
    device = {"context": {"device": {"id": "phone-1"}}, "name": "Cart"}
    assert (await shop.send([web, app | device]))["accepted"] == 2

    now = time.time()
    opened = json.dumps([{**sendgrid("open"), "email": mail}]).encode()
    asked = message()
    asked["sender"] = asked["conversation"]["meta"]["sender"] = CONTACT | {"email": mail}
    for source, said in {
        "mails": by_sendgrid(opened, now),
        "chats": by_chatwoot(asked, at=now),
    }.items():
        await eventually(
            lambda source=source, said=said: shop.hook(source, said.body, dict(said.headers)),
            lambda status: status == 200,
        )
    await quiet(regulars)
    ada = await shop.get("profile", f"/v1/profiles/by/email/{mail}")
    assert ada is not None
    for name in ("user_id/6940131", "anonymous_id/a-77", "anonymous_id/app-1", "device_id/phone-1",
                 "customer_id/tea-room/6940131", "contact_id/chats/9"):  # fmt: skip
        assert await shop.get("profile", f"/v1/profiles/by/{name}") == ada
    timeline = await shop.items("profile", f"/v1/profiles/{ada['profile_id']}/interactions")
    assert {item["name"] for item in timeline} >= {
        "Page Viewed", "Screen Viewed", "Order Completed", "Email Opened", "Live Chat Message Sent",
    }  # fmt: skip
    assert {item["source"] for item in timeline} == {
        SOURCE, "tea-room", "mails", "chats", "notifier",  # who thanked her
    }  # fmt: skip


async def _tables(shop: Client) -> dict[str, Any]:
    """Every row of the tables over people, and how many are in the segment now."""
    found = {}
    for name in ("revenue_by_day", "customers", "top_products"):
        table = await shop.get("reporting", f"/v1/tables/{name}?from=2020-01-01&to={DAY}")
        assert table is not None
        found[name] = table["rows"]
    buyers = await shop.get("segmentation", "/v1/segments/buyers")
    assert buyers is not None
    return found | {"buyers": buyers["members"]}


async def _state(shop: Client) -> dict[str, Any]:
    """All that is known of Ann: profile, mails, membership, revenue."""
    ann = await shop.get("profile", "/v1/profiles/by/user_id/ann")
    assert ann is not None
    return {
        **ann,
        "mails": await shop.items(MAIL, f"/messages?to={ANN}"),
        "members": await shop.items("segmentation", "/v1/segments/buyers/members"),
        "reported": await _reported(shop),
        "funnel": await _funnel(shop),
        "timeline": await shop.items("profile", f"/v1/profiles/{ann['profile_id']}/interactions"),
    }


def _opened(message_id: str) -> list[dict[str, Any]]:
    """Two reports of a mail provider, which knows the address and the mail."""
    return [
        {
            "type": "track",
            "event": "Email Opened",
            "messageId": f"opened-{n}",
            "context": {"traits": {"email": ANN}},
            "properties": {"email_id": message_id},
        }
        for n in (1, 2)
    ]


async def _told(shop: Client, message_id: str) -> list[str]:
    """The steps of a mail, as the notifier tells them."""
    message = await shop.get("notifier", f"/v1/messages/{message_id}")
    return [] if message is None else [step["state"] for step in message["steps"]]


async def _funnel(shop: Client) -> dict[str, int]:
    """How many messages of the campaign reached each state today, zeros left out."""
    path = f"/v1/tables/message_funnel?from={DAY}&to={DAY}"
    answer = await shop.get("reporting", path)
    rows = [] if answer is None else answer["rows"]
    return {
        name: count
        for row in rows
        for name, count in row.items()
        if isinstance(count, int) and count
    }


async def _reported(shop: Client) -> list[tuple[str, int]]:
    """(revenue, orders) of today in US dollars."""
    path = f"/v1/tables/revenue_by_day?from={DAY}&to={DAY}&currency=USD"
    answer = await shop.get("reporting", path)
    assert answer is not None
    return [(row["revenue"], row["orders"]) for row in answer["rows"]]
