"""The console's pages of sources: what somebody sees, and what a press of a button changes."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from nicegui.testing import User
from starlette.responses import Response

from tests.consoling import (
    ACTIVITY,
    SOURCE,
    SOURCES,
    Stub,
    do,
    elements,
    problem,
    settings,
    visiting,
)

KEY = {"id": "k-2", "hint": "aaaa", "created_at": "2026-03-05T09:30:00Z", "expires_at": None}
MADE = KEY | {"key": "rgl_the-new-key-aaaa", "published": True}


def sighting(number: int, **given: Any) -> dict[str, Any]:
    return {
        "id": f"{number:03d}",
        "at": "2026-03-05T09:30:00Z",
        "verdict": "accepted",
        "code": "",
        "detail": "",
        "message_id": f"m-{number}",
        "name": "Product Viewed",
        "event": {"userId": f"u-{number}"},
        "cut": False,
        "masked": False,
    } | given


@pytest_asyncio.fixture
async def stub() -> AsyncIterator[Stub]:
    async with Stub().served() as served:
        served.answers |= SOURCES
        yield served


@pytest_asyncio.fixture
async def visitor(stub: Stub) -> AsyncIterator[User]:
    async with visiting(settings(stub.url, console_refresh_seconds=0.05)) as user:
        yield user


async def sees(user: User, *texts: str) -> None:
    for text in texts:
        await user.should_see(text, retries=50)


async def test_sources_are_listed_with_what_they_sent(visitor: User) -> None:
    await visitor.open("/sources")
    await sees(visitor, "web", "web pages", "on", "12,345", "1,082", "5 Mar 2026, 09:30")
    leads = [one.props.get("href") for one in elements(visitor, "a")]
    assert leads.count("/sources/web") == 1


async def test_a_shop_without_sources_is_told_what_to_do(stub: Stub, visitor: User) -> None:
    stub.answers["/v1/sources"] = {"items": [], "next": None}
    await visitor.open("/sources")
    await sees(visitor, "Nobody may send events yet.", "New source")


async def test_a_new_source_gets_a_key_that_is_shown_once(stub: Stub, visitor: User) -> None:
    stub.outcomes["PUT /v1/sources/web-shop"] = SOURCE
    stub.outcomes["POST /v1/sources/web-shop/keys"] = MADE
    await visitor.open("/sources")
    given = {"name": " web-shop ", "kind": "browser", "currency": "eur"}
    do(visitor, "submit", "form", "Create", given)
    await sees(visitor, "rgl_the-new-key-aaaa", "it is not shown again", "Go to web-shop")
    assert stub.changes == [
        ("PUT /v1/sources/web-shop", {"kind": "browser", "default_currency": "EUR"}),
        ("POST /v1/sources/web-shop/keys", {"overlap_seconds": None}),
    ]


async def test_a_source_of_a_provider_gets_no_key(stub: Stub, visitor: User) -> None:
    stub.outcomes["PUT /v1/sources/my-shop"] = SOURCE
    await visitor.open("/sources")
    do(visitor, "submit", "form", "Create", {"name": "my-shop", "kind": "shopify", "currency": ""})
    await sees(visitor, "Go to my-shop")
    assert stub.changes == [
        ("PUT /v1/sources/my-shop", {"kind": "shopify", "default_currency": None})
    ]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Web Shop", "A name has 1 to 60 of a-z, 0-9 and -."),
        ("web", "There is a source web already."),
        ("new", "Ingest does not let this token's role do this."),
    ],
)
async def test_what_cannot_be_created_says_why(
    stub: Stub, visitor: User, name: str, said: str
) -> None:
    stub.outcomes["PUT /v1/sources/new"] = problem(403, "Forbidden", "This needs the role admin.")
    await visitor.open("/sources")
    do(visitor, "submit", "form", "Create", {"name": name, "kind": "server", "currency": ""})
    await sees(visitor, said)
    assert [call for call, _ in stub.changes] == (["PUT /v1/sources/new"] if name == "new" else [])


async def test_a_source_shows_what_became_of_its_events(visitor: User) -> None:
    await visitor.open("/sources/web")
    await sees(visitor, "12,345", "1,005", "77", "5 Mar 2026, 09:30 UTC")
    await sees(visitor, "unknown currency", "1,002", "missing event")
    await sees(visitor, "…x7Qm", "made 1 Mar 2026, 12:00 UTC, ends 6 Mar 2026, 12:00 UTC")
    await sees(visitor, "app_secret", "50 events a second, 2,500 at once", "shop.example")


async def test_its_numbers_follow_what_happens(stub: Stub, visitor: User) -> None:
    await visitor.open("/sources/web")
    await sees(visitor, "12,345")
    stub.answers["/v1/sources/web/activity"] = ACTIVITY | {"accepted": 12_346}
    await sees(visitor, "12,346")
    stub.answers["/v1/sources/web/activity"] = problem(503, "Away", "MongoDB does not answer")
    await sees(visitor, "Ingest: MongoDB does not answer")


async def test_events_appear_with_their_verdicts_as_they_come(stub: Stub, visitor: User) -> None:
    await visitor.open("/sources/web")
    await sees(visitor, "Nothing came in since you look.")
    refused = sighting(
        2, verdict="rejected", code="unknown_currency", detail="XYZ is no currency.", name=""
    )
    stub.answers["/v1/sources/web/recent"] = {"items": [refused, sighting(1)], "next": None}
    await sees(visitor, "rejected", "unknown currency", "XYZ is no currency.", "messageId m-2")
    await sees(visitor, "accepted", "Product Viewed", '"userId": "u-1"')
    await visitor.should_not_see("Nothing came in since you look.")
    masked = sighting(3, masked=True, event='{"not": json')
    stub.answers["/v1/sources/web/recent"] = {"items": [masked, refused, sighting(1)], "next": None}
    await sees(visitor, "Addresses and numbers are masked for your role.", '{"not": json')
    assert len(elements(visitor, "strong")) == 3  # what was there is not drawn again


async def test_a_flood_leaves_the_latest_hundred_on_the_page(stub: Stub, visitor: User) -> None:
    await visitor.open("/sources/web")
    for newest in (100, 130):
        found = [sighting(number) for number in range(newest, newest - 100, -1)]
        stub.answers["/v1/sources/web/recent"] = {"items": found, "next": None}
        await sees(visitor, f"messageId m-{newest}")
    await visitor.should_not_see("messageId m-30")
    await visitor.should_see("messageId m-31")
    assert len(elements(visitor, "pre")) == 100


async def test_watching_can_be_paused(stub: Stub, visitor: User) -> None:
    await visitor.open("/sources/web")
    do(visitor, "click", "button", "Pause")
    await sees(visitor, "Paused: after a minute new events are no longer kept.", "Go on")
    stub.answers["/v1/sources/web/recent"] = {"items": [sighting(1)], "next": None}
    await visitor.should_not_see("messageId m-1")
    do(visitor, "click", "button", "Go on")
    await sees(visitor, "messageId m-1")


async def test_a_key_is_rotated_and_deleted(stub: Stub, visitor: User) -> None:
    stub.outcomes["POST /v1/sources/web/keys"] = MADE
    stub.outcomes["DELETE /v1/sources/web/keys/k-1"] = Response(status_code=204)
    await visitor.open("/sources/web")
    do(visitor, "click", "button", "Yes, rotate")
    await sees(visitor, "rgl_the-new-key-aaaa")
    stub.answers["/v1/sources/web"] = SOURCE | {"keys": [KEY]}
    do(visitor, "click", "button", "Yes, delete")
    await sees(visitor, "…aaaa")
    await visitor.should_not_see("…x7Qm")
    assert stub.changes == [
        ("POST /v1/sources/web/keys", {"overlap_seconds": 86_400}),
        ("DELETE /v1/sources/web/keys/k-1", None),
    ]


async def test_a_third_key_is_refused_in_words(stub: Stub, visitor: User) -> None:
    full = problem(409, "Conflict", "2 keys are valid already.")
    stub.outcomes["POST /v1/sources/web/keys"] = full
    await visitor.open("/sources/web")
    do(visitor, "click", "button", "Add a key")
    await sees(visitor, "Ingest: 2 keys are valid already.")


async def test_a_secret_is_set_and_never_shown(stub: Stub, visitor: User) -> None:
    stub.outcomes["PUT /v1/sources/web/secrets/pin"] = SOURCE
    await visitor.open("/sources/web")
    stub.answers["/v1/sources/web"] = SOURCE | {
        "secrets": [{"name": "pin", "set_at": "2026-03-05T09:30:00Z", "previous_until": None}]
    }
    do(visitor, "submit", "form", "Set", {"secret": "pin", "value": "hush-hush"})
    await sees(visitor, "pin")
    await visitor.should_not_see("hush-hush")
    assert stub.changes == [("PUT /v1/sources/web/secrets/pin", {"value": "hush-hush"})]
    assert all(one.props.get("method") == "post" for one in elements(visitor, "form"))


async def test_a_source_is_disabled_after_a_question_and_enabled_again(
    stub: Stub, visitor: User
) -> None:
    off = SOURCE | {"enabled": False}
    stub.outcomes["POST /v1/sources/web/disable"] = off
    stub.outcomes["POST /v1/sources/web/enable"] = SOURCE
    await visitor.open("/sources/web")
    await sees(visitor, "All that it sends is refused within a second.")
    stub.answers["/v1/sources/web"] = off
    do(visitor, "click", "button", "Yes, disable")
    await sees(visitor, "disabled", "Enable")
    stub.answers["/v1/sources/web"] = SOURCE
    do(visitor, "click", "button", "Enable")
    await sees(visitor, "Disable")
    assert [call for call, _ in stub.changes] == [
        "POST /v1/sources/web/disable",
        "POST /v1/sources/web/enable",
    ]


async def test_a_source_that_is_none_is_404_in_words(visitor: User) -> None:
    answer = await visitor.http_client.get("/sources/nobody")
    assert answer.status_code == 404
    assert "Nothing at /v1/sources/nobody" in answer.text
