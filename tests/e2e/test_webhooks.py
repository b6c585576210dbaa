"""Webhooks by the real worker: signed, in order, again until they arrive, and never lost."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from standardwebhooks import Webhook, WebhookVerificationError

from tests.faults.processes import exited
from tests.webhooking import CHANGED, ENTERED, ERASED, Endpoint, Feeding, ago

pytestmark = [pytest.mark.broker, pytest.mark.fault]


@pytest_asyncio.fixture
async def feeding(stack: Any, tmp_path: Path) -> AsyncIterator[Feeding]:
    feeding = Feeding(stack, tmp_path)
    try:
        await feeding.open()
        yield feeding
    finally:
        await feeding.close()


@pytest_asyncio.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    async with Endpoint().open() as endpoint:
        yield endpoint


@pytest_asyncio.fixture
async def other() -> AsyncIterator[Endpoint]:
    async with Endpoint().open() as endpoint:
        yield endpoint


async def test_the_story_of_two_teams(feeding: Feeding, endpoint: Endpoint, other: Endpoint):
    """One worker for all of it: it takes seconds to start."""
    feeding.start(webhook_waiting="3")
    await is_signed_and_what_was_asked_for(feeding, endpoint, other)
    await is_signed_by_both_secrets_for_a_while(feeding, endpoint, other)
    await is_sent_again_in_the_order_of_each_person(feeding, endpoint, other)
    await an_endpoint_that_never_answers_delays_nobody_else(feeding, endpoint, other)
    await what_an_endpoint_is_away_for_waits_on_kafka(feeding, endpoint)
    await an_endpoint_that_is_gone_is_disabled_and_goes_on_where_it_stopped(feeding, endpoint)
    await everything_since_a_point_in_time_comes_again(feeding, endpoint)
    await a_test_is_sent_at_once_and_logged(feeding, endpoint)


async def is_signed_and_what_was_asked_for(
    feeding: Feeding, endpoint: Endpoint, other: Endpoint
) -> None:
    await feeding.changes(("early", 1))  # before anybody subscribed
    feeding.all = await feeding.subscribe(endpoint)
    feeding.some = await feeding.subscribe(
        other, types=[CHANGED, ENTERED], changed=["consent"], segments=["vip"]
    )
    await feeding.changes(("a", 1))
    await feeding.changes(("a", 2), names=("consent.email", "last_seen"))
    for segment in ("vip", "buyers"):
        told = {"profile_id": "a", "segment": segment, "definition_version": 1}
        await feeding.publish("segment.changes", "a", told, ENTERED, f"a/{segment}")
    await feeding.publish("profile.changes", "b", None, ERASED, "b/9")
    await endpoint.until(lambda: len(endpoint.got) == 3)
    await other.until(lambda: len(other.got) == 2)
    assert sorted(endpoint.said) == [("a", 1), ("a", 2), ("b", 0)]
    receive, seen = program(), set[str]()
    for headers, body in endpoint.got:
        assert receive(feeding.all["secret"], headers, body, seen) == 204
        with pytest.raises(WebhookVerificationError):
            Webhook(feeding.some["secret"]).verify(body, headers)
    assert len(seen) == 3
    assert receive(feeding.some["secret"], headers, body, seen) == 401
    [first] = [body for body in endpoint.bodies if body["data"].get("version") == 1]
    assert (first["type"], first["timestamp"]) == (CHANGED, "2026-03-01T12:00:00Z")
    assert first["data"]["profile"] == {"profile_id": "a", "traits": {"plan": "gold"}}
    [erased] = [body for body in endpoint.bodies if body["type"] == ERASED]
    assert erased["data"] == {"profile_id": "b"}
    assert sorted((body["type"], body["data"].get("segment")) for body in other.bodies) == [
        (CHANGED, None), (ENTERED, "vip"),
    ]  # fmt: skip
    assert len({*endpoint.ids, *other.ids}) == 5


def program() -> Any:
    """The receiver of docs/feed.md."""
    page = (Path(__file__).parents[2] / "docs" / "feed.md").read_text()
    [source] = re.findall(r"```python title=receive.py\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(source, "docs/feed.md", "exec"), names)
    return names["receive"]


async def is_signed_by_both_secrets_for_a_while(
    feeding: Feeding, endpoint: Endpoint, other: Endpoint
) -> None:
    answer = await feeding.http.post(f"/subscriptions/{feeding.all['id']}/secrets")
    assert answer.status_code == 201
    endpoint.got.clear()
    signatures, version = "", 3
    while signatures.count("v1,") < 2:  # for a second the worker does not know of it
        await feeding.changes(("a", version))
        await endpoint.until(lambda expected=version - 2: len(endpoint.got) == expected)
        headers, body = endpoint.got[-1]
        signatures, version = headers["webhook-signature"], version + 1
    for secret in (feeding.all["secret"], answer.json()["secret"]):
        assert Webhook(secret).verify(body, headers)


async def is_sent_again_in_the_order_of_each_person(
    feeding: Feeding, endpoint: Endpoint, other: Endpoint
) -> None:
    endpoint.got.clear()
    endpoint.answer = lambda body: (
        500 if body["data"]["profile_id"] == "c" and len(endpoint.got) < 8 else 200
    )
    people = [(person, version) for version in (1, 2, 3) for person in ("c", "d")]
    await feeding.changes(*people)
    await endpoint.until(lambda: set(endpoint.said) == set(people) and endpoint.said[-1][1] == 3)
    await feeding.becomes(feeding.all, waiting=0, state="active")
    assert list(dict.fromkeys(endpoint.said_of("c"))) == [1, 2, 3]
    assert endpoint.said_of("d") == [1, 2, 3]
    tries = [id for id, said in zip(endpoint.ids, endpoint.said, strict=True) if said == ("c", 1)]
    assert len(tries) > 1
    assert len(set(tries)) == 1
    log = await feeding.logged(feeding.all, tries[0], len(tries))
    assert [one["attempt"] for one in log] == list(range(len(tries), 0, -1))
    assert [one["code"] for one in log] == ["", *["http_500"] * (len(tries) - 1)]
    endpoint.answer = lambda body: 200


async def an_endpoint_that_never_answers_delays_nobody_else(
    feeding: Feeding, endpoint: Endpoint, other: Endpoint
) -> None:
    never = asyncio.Event()

    async def hang() -> int:
        await never.wait()
        return 200

    endpoint.got.clear()
    other.got.clear()
    other.answer = lambda body: hang()
    people = [(f"e{number}", 1) for number in range(30)]
    await feeding.changes(*people, names=("consent.email",))
    await endpoint.until(lambda: set(endpoint.said) == set(people))
    await other.until(lambda: len(other.got) == 8)
    assert len(other.got) == 8  # as many as it has connections, and all the others wait
    never.set()
    other.answer = lambda body: 200
    await other.until(lambda: set(other.said) == set(people))


async def what_an_endpoint_is_away_for_waits_on_kafka(feeding: Feeding, endpoint: Endpoint) -> None:
    endpoint.answer = lambda body: 503
    people = [(f"w{number % 10}", 1 + number // 10) for number in range(100)]
    await feeding.changes(*people)
    await feeding.becomes(feeding.all, state="failing")
    assert await feeding.lanes_behind()
    assert (await feeding.shown(feeding.all))["waiting"] <= 3 * 16
    endpoint.got.clear()
    endpoint.answer = lambda body: 200
    await endpoint.until(lambda: set(endpoint.said) >= set(people))
    await feeding.becomes(feeding.all, waiting=0, state="active")
    for number in range(10):
        assert list(dict.fromkeys(endpoint.said_of(f"w{number}"))) == list(range(1, 11))


async def an_endpoint_that_is_gone_is_disabled_and_goes_on_where_it_stopped(
    feeding: Feeding, endpoint: Endpoint
) -> None:
    endpoint.got.clear()
    endpoint.answer = lambda body: 410
    await feeding.changes(("f", 1))
    gone = await feeding.becomes(feeding.all, state="disabled", waiting=0)
    assert gone["reason"] == "endpoint_gone"
    assert gone["disabled_at"] <= datetime.now(UTC).isoformat()
    await feeding.changes(("f", 2), ("g", 1))
    assert endpoint.said == [("f", 1)]
    endpoint.answer = lambda body: 200
    answer = await feeding.http.patch(f"/subscriptions/{feeding.all['id']}", json={"enabled": True})
    assert answer.json()["reason"] == ""
    await endpoint.until(lambda: len(endpoint.got) == 4)
    assert endpoint.said_of("f") == [1, 1, 2]
    assert endpoint.said_of("g") == [1]
    await feeding.becomes(feeding.all, state="active")


async def everything_since_a_point_in_time_comes_again(
    feeding: Feeding, endpoint: Endpoint
) -> None:
    endpoint.got.clear()
    await feeding.changes(("h", 1), ("h", 2))
    await endpoint.until(lambda: len(endpoint.got) == 2)
    before, count = endpoint.ids, 0
    answer = await feeding.http.post(
        f"/subscriptions/{feeding.all['id']}/replay", json={"since": ago(3_600)}
    )
    assert answer.status_code == 202
    await endpoint.until(lambda: endpoint.said_of("h") == [1, 2, 1, 2])
    assert [id for id, said in zip(endpoint.ids, endpoint.said, strict=True) if said[0] == "h"] == [
        *before, *before,
    ]  # fmt: skip
    await endpoint.until(lambda: ("early", 1) in endpoint.said)
    await feeding.becomes(feeding.all, state="active", waiting=0)
    count = len(endpoint.got)
    await feeding.changes(("h", 3))
    await endpoint.until(lambda: len(endpoint.got) == count + 1)
    assert endpoint.said[-1] == ("h", 3)


async def a_test_is_sent_at_once_and_logged(feeding: Feeding, endpoint: Endpoint) -> None:
    endpoint.got.clear()
    tested = (await feeding.http.post(f"/subscriptions/{feeding.all['id']}/test")).json()
    assert (tested["delivered"], tested["status"]) == (True, 200)
    [(headers, body)] = endpoint.got
    assert Webhook(feeding.all["secret"]).verify(body, headers)
    assert headers["webhook-id"] == tested["webhook_id"]
    endpoint.answer = lambda body: 302
    tested = (await feeding.http.post(f"/subscriptions/{feeding.all['id']}/test")).json()
    assert (tested["delivered"], tested["code"]) == (False, "http_302")
    log = (await feeding.http.get(f"/subscriptions/{feeding.all['id']}/deliveries")).json()["items"]
    assert [(one["type"], one["outcome"]) for one in log[:2]] == [
        ("regulars.subscription.tested.v1", "failed"),
        ("regulars.subscription.tested.v1", "delivered"),
    ]


async def test_killed_while_it_sends_it_repeats_no_more_than_its_connections(
    feeding: Feeding, endpoint: Endpoint
):
    created = await feeding.subscribe(endpoint)
    people = [(f"k{number}", version) for version in (1, 2) for number in range(30)]
    await feeding.changes(*people)
    for after in (20, 45):
        victim = feeding.start(webhook_connections="4")
        endpoint.answer = lambda body, after=after, victim=victim: (
            os.kill(victim.pid, signal.SIGKILL) or 200
            if len(endpoint.got) == after and victim.alive
            else 200
        )
        await exited(victim)
    endpoint.answer = lambda body: 200
    feeding.start(webhook_connections="4")
    await endpoint.until(lambda: set(endpoint.said) == set(people))
    await feeding.becomes(created, waiting=0)
    assert len(endpoint.got) <= len(people) + 2 * 4
    assert len(set(endpoint.ids)) == len(people)
    assert all(list(dict.fromkeys(endpoint.said_of(f"k{n}"))) == [1, 2] for n in range(30))


async def test_of_two_workers_one_is_killed_and_the_other_delivers_what_is_left(
    feeding: Feeding, endpoint: Endpoint
):
    created = await feeding.subscribe(endpoint)
    victim = feeding.start(worker_id="a", webhook_connections="4")
    feeding.start(worker_id="b", webhook_connections="4")
    await feeding.owned_by(2)
    endpoint.answer = lambda body: (
        os.kill(victim.pid, signal.SIGKILL) or 200
        if len(endpoint.got) == 25 and victim.alive
        else 200
    )
    people = [(f"t{number}", version) for version in (1, 2, 3) for number in range(30)]
    await feeding.changes(*people)
    await exited(victim)
    await endpoint.until(lambda: set(endpoint.said) == set(people))
    shown = await feeding.becomes(created, waiting=0)
    assert (shown["state"], shown["failing_since"]) == ("active", None)
    assert len(endpoint.got) <= len(people) + 4  # what the killed one had in hand
    assert len(set(endpoint.ids)) == len(people)
    assert all(list(dict.fromkeys(endpoint.said_of(f"t{n}"))) == [1, 2, 3] for n in range(30))
