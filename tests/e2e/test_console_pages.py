"""The console's pages, as a visitor reads them, in front of APIs that answer what they document."""

import logging
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio
from nicegui.testing import User
from starlette.responses import Response

from tests.consoling import (
    SOURCES,
    SUGGESTIONS,
    TOKEN,
    WEBHOOKS,
    Stub,
    do,
    elements,
    problem,
    settings,
    visiting,
)

NOW = datetime.now(UTC).replace(microsecond=0)
TODAY = NOW.date().isoformat()
ANN = {
    "profile_id": "p_ann",
    "version": 7,
    "traits": {"firstName": "Ann", "lastName": "O'Neil <b>", "plan": "gold"},
    "identifiers": [
        {"type": "email", "value": "ann@example.com"},
        {"type": "anonymous_id", "value": "web-1"},
    ],
    "consent": {
        "email": {
            "state": "granted",
            "at": "2026-03-01T12:00:00Z",
            "message_id": "m",
            "source": "web",
        }
    },
    "first_seen": "2026-03-01T12:00:00Z",
    "last_seen": "2026-03-05T09:30:00Z",
    "interactions": 1234,
    "counters": {},
    "orders": [
        {
            "order_id": "A-1",
            "currency": "USD",
            "ordered_at": "2026-03-05T09:30:00Z",
            "updated_at": "2026-03-05T09:30:00Z",
            "revenue": "1012.50",
            "total": "1012.50",
            "refunds": [{"message_id": "r", "amount": "12.50", "at": "2026-03-06T09:30:00Z"}],
            "products": [
                {"product_id": "p1", "name": "Blue shoe", "price": "506.25", "quantity": 2}
            ],
        }
    ],
    "revenue_base": {"amount": "909.09", "currency": "EUR"},
    "carts": [
        {
            "updated_at": "2026-03-07T09:30:00Z",
            "currency": "USD",
            "value": "41.40",
            "items": 3,
            "checkout_at": "2026-03-07T09:29:00Z",
            "products": [
                {"product_id": "tea", "name": "Assam", "price": "11.90", "quantity": 2},
                {"product_id": "cup", "price": "17.60", "quantity": 1},
            ],
        }
    ],
    "wishlists": [
        {
            "wishlist_id": "w",
            "name": "For the kitchen",
            "updated_at": "2026-03-06T09:30:00Z",
            "products": [{"product_id": "pot", "added_at": "2026-03-06T09:30:00Z"}],
        }
    ],
    "conversations": [
        {
            "conversation_id": "9",
            "source": "desk",
            "status": "closed",
            "channel": "whatsapp",
            "opened_at": "2026-03-06T09:00:00Z",
            "updated_at": "2026-03-06T09:30:00Z",
            "messages_sent": 3,
            "messages_received": 2,
            "agent_name": "Bo",
        }
    ],
    "order_count": 1,
    "revenue": [{"amount": "1000.00", "currency": "USD"}],
    "merged_from": ["p_old"],
    "average_order_value": [{"amount": "1012.50", "currency": "USD"}],
    "days_between_orders": "30.50",
    "favourite_category": "Shoes",
    "preferred_channel": "email",
    "preferred_hour": 9,
    "devices": [
        {
            "type": "desktop",
            "os": "Windows",
            "browser": "Chrome",
            "model": "",
            "last_seen": "2026-03-05T09:30:00Z",
        },
        {
            "type": "mobile",
            "os": "iOS",
            "browser": "",
            "model": "iPhone",
            "last_seen": "2026-03-05T09:30:00Z",
        },
    ],
    "time_zone": "Europe/Rome",
}
SEGMENT = {
    "key": "lapsing",
    "name": "Lapsing",
    "version": 2,
    "updated_at": "2026-03-01T12:00:00Z",
    "members": 4321,
    "description": "No order for a month.",
    "rule": {"fact": "last_order_at", "op": "older_than", "seconds": 2592000},
}
COLUMNS = [
    {"name": "day", "unit": "day", "title": "Day", "description": "In UTC."},
    {"name": "currency", "unit": "currency code", "title": "Currency", "description": ""},
    {"name": "orders", "unit": "orders", "title": "Orders", "description": ""},
    {"name": "revenue", "unit": "amount", "title": "Revenue", "description": ""},
]
ROWS = [
    {"day": "1997-01-01", "currency": "USD", "orders": 3, "revenue": "2500000.63"},
    {"day": TODAY, "currency": "EUR", "orders": 1, "revenue": "12.50"},
]
REVENUE = {
    "name": "revenue_by_day",
    "title": "Revenue by day",
    "description": "Orders and revenue of each UTC day.",
    "topic": "profile.changes",
    "columns": COLUMNS,
    "keeps_hours": None,
}


def summary(orders: int) -> dict[str, Any]:
    return {
        "people": 9000,
        "customers": 23570,
        "orders": orders,
        "cancelled_orders": 2,
        "revenue": [],
        "net_revenue": [
            {"amount": "12.50", "currency": "EUR"},
            {"amount": "2500000.63", "currency": "USD"},
        ],
        "average_order_value": [{"amount": "35.89", "currency": "USD"}],
        "fresh_at": "2026-03-05T09:30:00Z",
    }


@pytest_asyncio.fixture
async def stub() -> AsyncIterator[Stub]:
    async with Stub().served() as served:
        minutes = [
            {"minute": (NOW - timedelta(minutes=59 - ago)).isoformat(), "events": ago}
            for ago in range(60)
        ]
        funnel = {"campaign": "welcome", "decided": 12, "sent": 9, "skipped": 3, "opened": 0}
        served.answers |= (
            SOURCES
            | WEBHOOKS
            | SUGGESTIONS
            | {
                "/v1/live": {
                    "minutes": minutes,
                    "top_events": [{"event": "Product Viewed", "events": 5432}],
                    "orders_today": 1,
                    "revenue_today": [{"amount": "12.50", "currency": "EUR"}],
                    "new_customers_today": 1,
                },
                "/v1/summary": summary(69659),
                "/v1/tables": page(REVENUE),
                "/v1/tables/revenue_by_day": {"columns": COLUMNS, "rows": ROWS},
                "/v1/tables/message_funnel": {"columns": [], "rows": [funnel]},
                "/v1/segments": page(SEGMENT),
                "/v1/profiles": page(ANN),
                "/v1/profiles/p_ann": ANN,
                "/v1/profiles/p_ann/identity": {
                    "identifiers": [
                        {
                            "type": "email",
                            "value": "ann@example.com",
                            "first_seen": "2026-03-01T12:00:00Z",
                            "message_id": "m",
                            "source": "web",
                        }
                    ],
                    "merges": [
                        {
                            "profile_id": "p_old",
                            "into": "p_ann",
                            "at": "2026-03-02T12:00:00Z",
                            "message_id": "m",
                            "reason": "same_event",
                            "evidence": {"type": "anonymous_id", "value": "web-1"},
                            "explanation": "One event named identifiers of both.",
                        }
                    ],
                },
                "/v1/profiles/p_ann/consent": page(statement()),
                "/v1/profiles/p_ann/segments": page(
                    {"segment": "lapsing", "since": "2026-03-05T12:00:00Z", "occurrence": 2}
                ),
                "/v1/segments/lapsing/members/p_ann/explain": {
                    "member": True,
                    "reasons": [
                        {
                            "condition": "last_order_at older than 30 days",
                            "holds": True,
                            "actual": 31,
                        }
                    ],
                },
                "/v1/profiles/p_ann/interactions": page(
                    interaction("i2", "Order Completed"), more="c1"
                ),
                "/v1/messages": page(
                    {
                        "message_id": "m_1",
                        "campaign": "welcome",
                        "segment": "lapsing",
                        "channel": "email",
                        "state": "skipped",
                        "reason": "no_consent",
                        "decided_at": "2026-03-05T12:00:00Z",
                        "due_at": "2026-03-05T12:00:00Z",
                    }
                ),
                "/v1/campaigns": page(
                    {
                        "key": "welcome",
                        "name": "Welcome",
                        "version": 1,
                        "updated_at": "2026-03-01T12:00:00Z",
                        "trigger": {"segment": "lapsing"},
                        "subject": "Hello",
                        "delay_seconds": 3600,
                        "notes": [],
                    }
                ),
            }
        )
        served.answers |= {
            "/v1/dead-letters": page(refused()),
            "/v1/dead-letters/counts": {
                "items": [counted("bad_amount", 7), counted("bad_text", 2, suppressed=1_000)],
                "states": {"open": 8, "edited": 1, "replayed": 3},
            },
            "/v1/dead-letters/r-1": refused(content={"json": ORDER}),
        }
        yield served


ORDER = {"event": "Order Completed", "properties": {"revenue": "12,50"}}


def refused(state: str = "open", **more: Any) -> dict[str, Any]:
    return {
        "id": "r-1",
        "topic": "events.rejected",
        "source": "web",
        "door": "http",
        "call": "track",
        "reason": "bad_amount",
        "detail": "revenue must be a number such as 12.50, below 10^12.",
        "stage": "ingest",
        "at": "2026-03-05T09:30:00Z",
        "expires": "2026-04-04T09:30:00Z",
        "name": "Order Completed",
        "message_id": "m-1",
        "size": 321,
        "truncated": False,
        "state": state,
        "history": [],
        **more,
    }


def counted(reason: str, stored: int, suppressed: int = 0) -> dict[str, Any]:
    return {
        "day": TODAY,
        "source": "web",
        "topic": "events.rejected",
        "reason": reason,
        "stored": stored,
        "suppressed": suppressed,
        "dropped": 0,
    }


def page(*items: Any, more: str | None = None) -> dict[str, Any]:
    return {"items": list(items), "next": more}


def statement(id_: str = "m", state: str = "granted", **more: Any) -> dict[str, Any]:
    return {
        "statement_id": id_,
        "channel": "email",
        "purpose": "marketing",
        "state": state,
        "at": "2026-03-01T12:00:00Z",
        "recorded_at": "2026-03-02T09:00:00Z",
        "by": {"kind": "person", "name": ""},
        "source": "web",
        "event": "Consent Updated",
        "text_version": "v2",
        "ip": "192.0.2.1",
        "page": "https://shop.example/news",
        "proof": {"form": "footer"},
        **more,
    }


def named(element: Any) -> bool:
    inside = [element, *element.descendants()]
    return bool(element.props.get("aria-label") or any(getattr(one, "text", "") for one in inside))


def listens(element: Any, event: str) -> bool:
    return any(one.type == event for one in element._event_listeners.values())


def interaction(key: str, name: str) -> dict[str, Any]:
    return {
        "interaction_id": key,
        "at": "2026-03-05T09:30:00Z",
        "type": "track",
        "name": name,
        "source": "web",
        "event": {"properties": {"order_id": "A-1", "revenue": "12.50", "currency": "USD"}},
    }


@pytest_asyncio.fixture
async def visitor(stub: Stub) -> AsyncIterator[User]:
    async with visiting(settings(stub.url, console_refresh_seconds=0.05)) as user:
        yield user


async def sees(user: User, *texts: str) -> None:
    for text in texts:
        await user.should_see(text)


async def test_the_overview_shows_each_currency_by_itself(visitor: User) -> None:
    await visitor.open("/")
    await sees(visitor, "Overview", "2,500,000.63", "USD", "12.50\u00a0EUR")
    await sees(visitor, "69,659", "23,570", "35.89", "1 today · 2 cancelled")
    await sees(visitor, "Lapsing", "4,321", "Product Viewed", "5,432", "As of ")
    await visitor.should_not_see("2,500,013.13")


async def test_the_overview_follows_what_happens(stub: Stub, visitor: User) -> None:
    await visitor.open("/")
    await visitor.should_see("69,659")
    stub.answers["/v1/summary"] = summary(69660)
    await visitor.should_see("69,660", retries=50)


async def test_old_sales_and_todays_are_both_on_the_first_chart(visitor: User) -> None:
    await visitor.open("/")
    await visitor.should_see("USD, by day, in UTC: 1 Jan 1997. ")
    do(visitor, "click", "button", "EUR")
    await visitor.should_see("EUR, by day, in UTC: ")
    do(visitor, "click", "button", "Last 30 days")
    first = NOW.date() - timedelta(days=29)
    await visitor.should_see(f"EUR, by day, in UTC: {first.day} {first:%b %Y} to ")


async def test_an_overview_without_fresh_answers_says_so(stub: Stub, visitor: User) -> None:
    await visitor.open("/")
    stub.answers["/v1/live"] = problem(503, "Not ready", "MongoDB does not answer")
    said = "Reporting: MongoDB does not answer What you see is no longer current."
    await visitor.should_see(said, retries=50)
    await visitor.should_see("69,659")


async def test_an_empty_shop_is_told_how_to_begin(stub: Stub, visitor: User) -> None:
    nothing = {"people": 0, "customers": 0, "orders": 0, "cancelled_orders": 0}
    money: dict[str, Any] = {"revenue": [], "net_revenue": [], "average_order_value": []}
    stub.answers["/v1/summary"] = {**nothing, **money}
    stub.answers["/v1/tables/revenue_by_day"] = {"columns": [], "rows": []}
    stub.answers["/v1/segments"] = stub.answers["/v1/profiles"] = page()
    stub.answers["/v1/campaigns"] = page()
    await visitor.open("/")
    await sees(visitor, "No events yet.", "regulars demo", "No segments are defined.")
    for path, said in (("/customers", "Nobody is known yet."), ("/campaigns", "No campaigns are")):
        await visitor.open(path)
        await visitor.should_see(said)


async def test_customers_are_found_and_lead_to_their_page(stub: Stub, visitor: User) -> None:
    stub.answers["/v1/profiles"] = page(ANN, more="c1")
    await visitor.open("/customers?query=ann")
    assert stub.asked[-1] == "/v1/profiles?query=ann&limit=25"
    await sees(visitor, "Ann O'Neil <b>", "ann@example.com", "5 Mar 2026, 09:30")
    await sees(visitor, "1,000.00\u00a0USD", "Next page")
    (link,) = visitor.find("Ann O'Neil <b>").elements
    assert link.props["href"] == "/customers/p_ann"
    (following,) = visitor.find("Next page").elements
    await visitor.open(following.props["href"])
    assert stub.asked[-1] == "/v1/profiles?query=ann&limit=25&cursor=c1"


async def test_a_customer_page_answers_who_what_and_why(visitor: User) -> None:
    await visitor.open("/customers/p_ann")
    await sees(visitor, "Ann O'Neil <b>", "1,234", "gold", "granted")
    await sees(visitor, "A-1", "2 \u00d7 Blue shoe", "1,012.50\u00a0USD", "partly refunded")
    await sees(visitor, "In one currency", "909.09\u00a0EUR")
    await sees(visitor, "Cart of 3 pieces", "41.40\u00a0USD", "2 \u00d7 Assam, 1 \u00d7 cup")
    await sees(visitor, "For the kitchen", "1 \u00d7 pot", "whatsapp", "closed", "3 + 2", "Bo")
    await sees(visitor, "No consent", "skipped")
    await sees(visitor, "Merged with p_old on 2 Mar 2026, 12:00 UTC")
    await sees(visitor, "One event named identifiers of both. Shared: anonymous id web-1.")
    await sees(visitor, "Order Completed", "order A-1 · 12.50 USD")
    await sees(visitor, "Favourite category", "Shoes", "09:00 to 09:59", "30.50")
    await sees(visitor, "Chrome on Windows, iPhone (iOS)")


async def test_a_customer_page_tells_who_consented_since_when_and_with_which_proof(
    visitor: User,
) -> None:
    await visitor.open("/customers/p_ann")
    await sees(visitor, "Marketing by email", "Since 1 Mar 2026, 12:00 UTC from web", "1 statement")
    await sees(visitor, "Marketing by email: granted", "They by way of web", "Text: v2")
    await sees(visitor, "On: https://shop.example/news", "From address: 192.0.2.1")
    await sees(visitor, 'Proof: {"form":"footer"}', "Known since: 2 Mar 2026, 09:00 UTC")


async def test_support_withdraws_a_consent_and_sees_it_written_down(
    stub: Stub, visitor: User
) -> None:
    await visitor.open("/customers/p_ann")
    stub.outcomes["POST /v1/profiles/p_ann/consent"] = {"statement_id": "consent/1"}
    agent = {"kind": "agent", "name": "Bea"}
    line = statement("consent/1", "withdrawn", by=agent, source="support", proof="Call of today")
    stub.answers["/v1/profiles/p_ann/consent"] = page(line, statement())
    left = {**ANN["consent"]["email"], "state": "withdrawn", "source": "support"}
    stub.answers["/v1/profiles/p_ann"] = ANN | {"consent": {"email": left}}
    do(visitor, "submit", "form", "Yes, withdraw", {"actor": "Bea", "proof": "Call of today"})
    await sees(visitor, "It is written down.", "withdrawn", "Bea by way of support")
    assert stub.changes == [
        (
            "POST /v1/profiles/p_ann/consent",
            {
                "channel": "email",
                "purpose": "marketing",
                "state": "withdrawn",
                "actor": "Bea",
                "proof": "Call of today",
            },
        )
    ]
    await visitor.should_not_see("Withdraw")


async def test_who_may_not_withdraw_is_told(stub: Stub, visitor: User) -> None:
    await visitor.open("/customers/p_ann")
    stub.outcomes["POST /v1/profiles/p_ann/consent"] = problem(403, "Forbidden", "This needs...")
    do(visitor, "submit", "form", "Yes, withdraw", {"actor": "Bea", "proof": ""})
    await visitor.should_see("Profile does not let this token's role do this.")


async def test_messages_to_former_ids_belong_to_the_customer(stub: Stub, visitor: User) -> None:
    await visitor.open("/customers/p_ann")
    assert "/v1/messages?profile_id=p_ann&profile_id=p_old&limit=50" in stub.asked


async def test_a_segment_says_why_when_it_is_opened(stub: Stub, visitor: User) -> None:
    await visitor.open("/customers/p_ann")
    asked = "/v1/segments/lapsing/members/p_ann/explain"
    assert asked not in stub.asked
    do(visitor, "toggle", "details", "Lapsing")
    await sees(visitor, "Last order at older than 30 days", "is 31")


async def test_more_of_the_timeline_is_added_below(stub: Stub, visitor: User) -> None:
    await visitor.open("/customers/p_ann")
    stub.answers["/v1/profiles/p_ann/interactions"] = page(interaction("i1", "Cart Viewed"))
    do(visitor, "click", "button", "Load more")
    await sees(visitor, "Cart Viewed", "Order Completed")
    assert stub.asked[-1] == "/v1/profiles/p_ann/interactions?limit=20&cursor=c1"
    await visitor.should_not_see("Load more")


async def test_an_order_that_was_handed_on_leads_to_who_has_it(stub: Stub, visitor: User) -> None:
    sold = interaction("i2", "Order Completed") | {"handed_to": "p_bob"}
    stub.answers["/v1/profiles/p_ann/interactions"] = page(sold)
    await visitor.open("/customers/p_ann")
    await sees(visitor, "handed on", "This order was handed on to")
    (link,) = visitor.find("another customer").elements
    assert link.props["href"] == "/customers/p_bob"


async def test_one_service_away_leaves_the_rest_of_the_page(stub: Stub, visitor: User) -> None:
    stub.answers["/v1/messages"] = problem(503, "Not ready", "MongoDB does not answer")
    await visitor.open("/customers/p_ann")
    await sees(visitor, "Notifier: MongoDB does not answer", "Blue shoe", "Order Completed")


async def test_segments_campaigns_and_reports_are_listed(visitor: User) -> None:
    await visitor.open("/segments")
    await sees(visitor, "Lapsing", "4,321", "Last order is longer ago than 30 days")
    await visitor.open("/campaigns")
    await sees(visitor, "Welcome", "Sends a mail when somebody enters lapsing, 1 hour later")
    await sees(visitor, "Decided", "12", "Left out on the way: 3 skipped.")
    await visitor.open("/reports")
    await sees(visitor, "Revenue by day", "Columns: day, currency, orders, revenue.")


async def test_a_report_shows_exact_amounts_of_the_asked_days(stub: Stub, visitor: User) -> None:
    await visitor.open("/reports/revenue_by_day?from=1997-01-01&to=1997-12-31")
    assert stub.asked[-1] == "/v1/tables/revenue_by_day?from=1997-01-01&to=1997-12-31&limit=1000"
    await sees(visitor, "2,500,000.63", "1 Jan 1997", "Revenue in USD, by day.")
    (link,) = visitor.find("Download CSV").elements
    assert link.props["href"] == "/reports/revenue_by_day.csv?from=1997-01-01&to=1997-12-31"


async def test_csv_comes_through_the_console(stub: Stub, visitor: User) -> None:
    stub.answers["/v1/tables/revenue_by_day"] = Response("day,orders\r\n", media_type="text/csv")
    answer = await visitor.http_client.get("/reports/revenue_by_day.csv?from=1997-01-01")
    assert (answer.status_code, answer.text) == (200, "day,orders\r\n")
    assert answer.headers["content-disposition"] == (
        'attachment; filename="revenue_by_day_1997-01-01.csv"'
    )
    assert stub.asked[-1].startswith("/v1/tables/revenue_by_day?from=1997-01-01&format=csv")


# -- rejected events --------------------------------------------------------------------------


async def test_rejected_events_are_counted_listed_and_found(stub: Stub, visitor: User) -> None:
    stub.answers["/v1/dead-letters"] = page(refused(), refused("replayed"), more="c1")
    await visitor.open("/rejected?reason=bad_amount&state=open&text=m-1")
    asked = [one for one in stub.asked if one.startswith("/v1/dead-letters?")]
    assert asked == ["/v1/dead-letters?limit=25&state=open&reason=bad_amount&text=m-1"]
    await sees(visitor, "9 events can be repaired and replayed. 1,000 more were only counted")
    await sees(visitor, "bad amount: 7", "bad text: 1,002", "Order Completed", "bad amount")
    await sees(visitor, "5 Mar 2026, 09:30", "open", "replayed", "Next page")
    do(visitor, "click", "button", "By source")
    await visitor.should_see("web: 1,009")


async def test_a_rejected_event_is_repaired_previewed_and_replayed(
    stub: Stub, visitor: User
) -> None:
    await visitor.open("/rejected/r-1")
    await sees(visitor, "Bad amount", "revenue must be a number", "web (http)", "m-1", "12,50")
    path = "/v1/dead-letters/r-1/replay"
    seen = {"id": "r-1", "accepted": True, "events": 1, "state": "open"}
    stub.outcomes[f"POST {path}"] = {**seen, "after": {"json": {"messageId": "m-1"}}}
    visitor.find("Body to send, as JSON").clear().type('{"total": 0.10000000000000000001}')
    do(visitor, "click", "button", "Preview")
    await sees(visitor, "Would be accepted: 1 event.", '"messageId": "m-1"')
    assert stub.posted == [(path, b'{"dry_run": true, "body": {"total": 0.10000000000000000001}}')]
    stub.answers["/v1/dead-letters/r-1"] = refused(
        "replayed",
        content={"json": ORDER},
        history=[{"at": "2026-03-05T10:00:00Z", "deed": "replaying", "by": "support"}],
    )
    do(visitor, "click", "button", "Replay")
    await visitor.should_see("Sent again. It counts once.", retries=50)
    await sees(visitor, "Replay asked for", "by support, 5 Mar 2026, 10:00 UTC")
    await visitor.should_not_see("Preview")
    assert stub.posted[-1] == (
        path, b'{"dry_run": false, "body": {"total": 0.10000000000000000001}}',
    )  # fmt: skip


async def test_what_is_not_edited_is_replayed_as_it_is(stub: Stub, visitor: User) -> None:
    await visitor.open("/rejected/r-1")
    path = "/v1/dead-letters/r-1/replay"
    stub.outcomes[f"POST {path}"] = problem(
        422, "Unprocessable Content", "revenue must be a number."
    )
    do(visitor, "click", "button", "Replay")
    await visitor.should_see("Ingest: revenue must be a number.")
    assert stub.posted == [(path, b'{"dry_run": false}')]


async def test_a_body_that_is_no_json_is_not_even_sent(stub: Stub, visitor: User) -> None:
    await visitor.open("/rejected/r-1")
    for typed, said in (("{", "The body is no JSON: Expecting"), ("[]", "is one JSON object")):
        visitor.find("Body to send, as JSON").clear().type(typed)
        do(visitor, "click", "button", "Replay")
        await visitor.should_see(said)
    assert stub.posted == []


async def test_a_rejected_event_is_dismissed(stub: Stub, visitor: User) -> None:
    await visitor.open("/rejected/r-1")
    gone = refused("dismissed", content={"json": ORDER})
    stub.outcomes["POST /v1/dead-letters/r-1/dismiss"] = gone
    stub.answers["/v1/dead-letters/r-1"] = gone
    do(visitor, "click", "button", "Dismiss")
    await sees(visitor, "Dismissed. It may still be replayed.", "Replay")
    assert stub.posted == [("/v1/dead-letters/r-1/dismiss", b"")]


async def test_all_that_a_filter_finds_are_dismissed_after_it_is_said_how_many(
    stub: Stub, visitor: User
) -> None:
    path = "/v1/dead-letters/dismiss"
    stub.answers["/v1/dead-letters"] = page(refused())
    await visitor.open("/rejected")
    await visitor.should_not_see("Dismiss all of these")  # nobody means all there are
    await visitor.open("/rejected?reason=bad_amount")
    stub.outcomes[f"POST {path}"] = {"dismissed": 1200}
    do(visitor, "click", "button", "Dismiss all of these")
    await visitor.should_see("1,200 events of all pages would be dismissed")
    do(visitor, "click", "button", "Yes, dismiss 1,200")
    await visitor.should_see("1,200 events dismissed.")
    wanted = b'{"filter":{"reason":"bad_amount","state":[]},"dry_run":'
    assert stub.posted == [(path, wanted + b"true}"), (path, wanted + b"false}")]


async def test_who_may_not_see_contents_sees_why_and_no_buttons(stub: Stub, visitor: User) -> None:
    stub.answers["/v1/dead-letters/r-1"] = refused()
    await visitor.open("/rejected/r-1")
    await sees(visitor, "Your role does not let you see it.", "revenue must be a number")
    await visitor.should_not_see("Replay")


async def test_nothing_refused_is_good_news(stub: Stub, visitor: User) -> None:
    stub.answers["/v1/dead-letters"] = page()
    stub.answers["/v1/dead-letters/counts"] = {"items": [], "states": {}}
    await visitor.open("/rejected")
    await sees(visitor, "Nothing was refused.", "0 events can be repaired")


# -- the browser's side ------------------------------------------------------------------------

PAGES = ("/", "/customers", "/customers/p_ann", "/segments", "/campaigns", "/reports",
         "/reports/revenue_by_day", "/sources", "/sources/web", "/rejected",
         "/rejected/r-1", "/webhooks", "/webhooks/sub_1", "/suggestions",
         "/suggestions/p_a~p_b")  # fmt: skip


async def test_no_page_asks_anybody_but_the_console(visitor: User) -> None:
    for path in (*PAGES, "/nowhere"):
        answer = await visitor.http_client.get(path)
        assert answer.status_code == (404 if path == "/nowhere" else 200), path
        outside = r"""(?:src|href|url\(|import)\s*[=(]?\s*["'](\w+:)?//"""
        assert re.findall(outside, answer.text) == [], path
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "http" not in policy
        assert '<html lang="en-US"' in answer.text, path


async def test_every_page_can_be_found_ones_way_on_by_keyboard(visitor: User) -> None:
    for path in PAGES:
        await visitor.open(path)
        assert len(elements(visitor, "h1")) == 1, path
        await visitor.should_see("Skip to the content")
        assert [one.props.get("id") for one in elements(visitor)].count("content") == 1, path
        links = elements(visitor, "a")
        current = [one for one in links if one.props.get("aria-current") == "page"]
        assert len(current) == 1, path


async def test_whatever_can_be_pressed_or_filled_in_has_a_name_and_is_made_for_it(
    visitor: User,
) -> None:
    for path in PAGES:
        await visitor.open(path)
        for tag in ("a", "button", "summary", "th", "legend"):
            unnamed = [one.html_id for one in elements(visitor, tag) if not named(one)]
            assert unnamed == [], (path, tag)
        fields = [one for tag in ("input", "select") for one in elements(visitor, tag)]
        fields = [one for one in fields if one.props.get("type") != "hidden"]
        labelled = {one.props.get("for") for one in elements(visitor, "label")}
        within = {one for label in elements(visitor, "label") for one in label.descendants()}
        assert [one for one in fields if not {one.props.get("id")} & labelled - {None}
                and one not in within] == [], path  # fmt: skip
        ids = [one.props["id"] for one in elements(visitor) if "id" in one.props]
        assert sorted(ids) == sorted(set(ids)), path
        pressed = {one.tag for one in elements(visitor) if listens(one, "click")}
        assert pressed <= {"button"}, path


async def test_what_comes_of_it_is_said_in_a_place_that_is_there_before(visitor: User) -> None:
    for path, places in (
        ("/", 1), ("/sources", 1), ("/sources/web", 4), ("/rejected/r-1", 2), ("/webhooks", 1),
        ("/webhooks/sub_1", 2), ("/suggestions/p_a~p_b", 2),
    ):  # fmt: skip
        await visitor.open(path)
        said = [one for one in elements(visitor) if one.props.get("role") == "status"]
        assert [(one.visible, one.text) for one in said] == [(True, "")] * places, path  # type: ignore[attr-defined]


async def test_unknown_things_are_404_in_words(visitor: User) -> None:
    for path, said in (
        ("/nowhere", "There is no such page"),
        ("/customers/p_nobody", "Nothing at /v1/profiles/p_nobody."),
        ("/reports/no_table", "There is no report of this name."),
    ):
        answer = await visitor.http_client.get(path)
        assert (answer.status_code, said in answer.text) == (404, True), path


async def test_a_service_that_is_away_is_named(stub: Stub) -> None:
    away = settings(stub.url, console_profile_url="http://127.0.0.1:9")
    async with visiting(away) as user:
        answer = await user.http_client.get("/customers")
    assert answer.status_code == 502
    assert "Profile does not answer at http://127.0.0.1:9. Is it running?" in answer.text


async def test_what_people_search_for_is_not_logged(
    visitor: User, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await visitor.open("/customers?query=ann%40example.com")
    await visitor.http_client.get("/nowhere?query=ann%40example.com")
    assert "example.com" not in caplog.text
    assert TOKEN not in caplog.text


# -- logging in --------------------------------------------------------------------------------


@pytest_asyncio.fixture
async def browser(stub: Stub) -> AsyncIterator[httpx.AsyncClient]:
    async with visiting(settings(stub.url, console_token="")) as user:
        yield user.http_client


async def test_strangers_are_asked_for_a_token_and_come_back(browser: httpx.AsyncClient) -> None:
    answer = await browser.get("/customers?query=ann")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=%2Fcustomers%3Fquery%3Dann"
    form = await browser.get(answer.headers["location"])
    assert "/customers?query=ann" in form.text
    answer = await browser.post("/login", data={"token": TOKEN, "next": "/customers?query=ann"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/customers?query=ann")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert TOKEN not in cookie
    page = await browser.get("/customers")
    assert page.status_code == 200
    assert TOKEN not in page.text


async def test_a_wrong_token_opens_nothing(browser: httpx.AsyncClient) -> None:
    for token in ("wrong", "", "x" * 501, "tökén"):
        answer = await browser.post("/login", data={"token": token})
        assert answer.headers["location"] == "/login?failed=unknown"
        assert "set-cookie" not in answer.headers
    page = await browser.get("/login?failed=unknown")
    assert "This token is not known." in page.text
    assert (await browser.get("/reports/revenue_by_day.csv")).status_code == 401


async def test_logging_out_ends_the_session(browser: httpx.AsyncClient) -> None:
    await browser.post("/login", data={"token": TOKEN})
    kept = dict(browser.cookies)
    assert (await browser.get("/segments")).status_code == 200
    await browser.post("/logout")
    browser.cookies.update(kept)
    assert (await browser.get("/segments")).status_code == 303


async def test_a_token_that_was_withdrawn_leads_to_the_login(
    stub: Stub, browser: httpx.AsyncClient
) -> None:
    await browser.post("/login", data={"token": TOKEN})
    stub.answers["/v1/segments"] = problem(401, "Unauthorized", "")
    answer = await browser.get("/segments")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=%2Fsegments")


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example"])
async def test_logging_in_leads_nowhere_else(browser: httpx.AsyncClient, target: str) -> None:
    answer = await browser.post("/login", data={"token": TOKEN, "next": target})
    assert answer.headers["location"] == "/"


async def test_forms_of_other_sites_log_nobody_in_or_out(browser: httpx.AsyncClient) -> None:
    headers = {"Sec-Fetch-Site": "cross-site"}
    for path in ("/login", "/logout"):
        answer = await browser.post(path, data={"token": TOKEN}, headers=headers)
        assert answer.status_code == 403
