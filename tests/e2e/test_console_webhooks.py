"""The console's pages of webhooks: what an admin sees, and what a press of a button changes."""

from collections.abc import AsyncIterator

import pytest_asyncio
from nicegui.testing import User

from tests.consoling import SUBSCRIPTION, WEBHOOKS, Stub, do, settings, visiting


@pytest_asyncio.fixture
async def stub() -> AsyncIterator[Stub]:
    async with Stub().served() as served:
        served.answers |= WEBHOOKS
        yield served


@pytest_asyncio.fixture
async def visitor(stub: Stub) -> AsyncIterator[User]:
    async with visiting(settings(stub.url, console_refresh_seconds=0.05)) as user:
        yield user


async def sees(user: User, *texts: str) -> None:
    for text in texts:
        await user.should_see(text, retries=50)


async def test_subscriptions_are_listed_with_how_they_are_doing(visitor: User) -> None:
    await visitor.open("/webhooks")
    await sees(visitor, "https://crm.example/hook", "The CRM", "failing", "12", "5 Mar 2026, 09:30")


async def test_without_any_it_says_what_to_do(stub: Stub, visitor: User) -> None:
    stub.answers["/v1/subscriptions"] = {"items": [], "next": None}
    await visitor.open("/webhooks")
    await sees(visitor, "Nobody gets webhooks yet.", "New subscription")


async def test_a_new_subscription_shows_its_secret_once(stub: Stub, visitor: User) -> None:
    stub.outcomes["POST /v1/subscriptions"] = SUBSCRIPTION | {"secret": "whsec_new"}
    await visitor.open("/webhooks")
    given = {"url": " https://a.example ", "what": "profiles", "changed": "traits.plan, consent"}
    do(visitor, "submit", "form", "Subscribe", given)
    await sees(visitor, "whsec_new", "it is not shown again", "Go to the subscription")
    assert stub.changes == [
        (
            "POST /v1/subscriptions",
            {
                "url": "https://a.example",
                "types": ["regulars.profile.changed.v1", "regulars.profile.erased.v1"],
                "changed": ["traits.plan", "consent"],
                "segments": [],
                "description": "",
            },
        )
    ]


async def test_what_the_api_refuses_is_said(stub: Stub, visitor: User) -> None:
    await visitor.open("/webhooks")
    do(visitor, "submit", "form", "Subscribe", {"url": "x"})
    await sees(visitor, "Profile: Nothing at /v1/subscriptions.")


async def test_one_subscription_with_its_attempts(visitor: User) -> None:
    await visitor.open("/webhooks/sub_1")
    await sees(
        visitor, "The CRM", "failing", "traits.plan", "Failing since", "http 500", "p_ann", "0.021"
    )


async def test_it_is_disabled_and_enabled(stub: Stub, visitor: User) -> None:
    call = "PATCH /v1/subscriptions/sub_1"
    stub.outcomes[call] = SUBSCRIPTION
    await visitor.open("/webhooks/sub_1")
    do(visitor, "click", "button", "Yes, disable")
    await sees(visitor, "failing")
    off = {"enabled": False, "state": "disabled", "reason": "endpoint_gone"}
    stub.answers["/v1/subscriptions/sub_1"] = SUBSCRIPTION | off
    await sees(visitor, "Its endpoint answered that it is gone (410).")
    do(visitor, "click", "button", "Enable")
    stub.answers["/v1/subscriptions/sub_1"] = SUBSCRIPTION | {"state": "catching_up"}
    await sees(visitor, "catching up")
    assert stub.changes == [(call, {"enabled": False}), (call, {"enabled": True})]


async def test_a_test_says_what_was_answered(stub: Stub, visitor: User) -> None:
    stub.outcomes["POST /v1/subscriptions/sub_1/test"] = {
        "delivered": False, "status": 0, "code": "unreachable", "detail": "ConnectError",
        "seconds": 0.1, "webhook_id": "msg_1",
    }  # fmt: skip
    await visitor.open("/webhooks/sub_1")
    do(visitor, "click", "button", "Send a test")
    await sees(visitor, "The test did not arrive: unreachable. ConnectError")


async def test_everything_since_an_instant_is_sent_again(stub: Stub, visitor: User) -> None:
    call = "POST /v1/subscriptions/sub_1/replay"
    stub.outcomes[call] = SUBSCRIPTION
    await visitor.open("/webhooks/sub_1")
    do(visitor, "submit", "form", "Send again", {"since": "no day"})
    await sees(visitor, "Name a day and a time.")
    do(visitor, "submit", "form", "Send again", {"since": "2026-03-02T08:00"})
    stub.answers["/v1/subscriptions/sub_1"] = SUBSCRIPTION | {"since": "2026-03-02T08:00:00Z"}
    await sees(visitor, "Sent again from", "2 Mar 2026, 08:00 UTC")
    assert stub.changes == [(call, {"since": "2026-03-02T08:00:00+00:00"})]


async def test_a_new_secret_is_shown_once(stub: Stub, visitor: User) -> None:
    stub.outcomes["POST /v1/subscriptions/sub_1/secrets"] = {
        "secret": "whsec_rotated", "former_until": "2026-03-02T12:00:00Z",
    }  # fmt: skip
    await visitor.open("/webhooks/sub_1")
    do(visitor, "click", "button", "Yes, make a new secret")
    await sees(visitor, "whsec_rotated")
