"""Webhook subscriptions over the API, on a real MongoDB: who may, what is refused and shown."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography.fernet import Fernet

from services.profile.api import create_app
from services.profile.feed.model import MOST_SUBSCRIPTIONS, Entry
from services.profile.feed.store import Ledger
from services.runtime.seals import Seals
from tests.webhooking import CHANGED, ERASED, KEY, Endpoint, Feeding, ago

pytestmark = pytest.mark.broker
URL = "https://team.example/hook"
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest_asyncio.fixture
async def feeding(stack: Any, tmp_path: Path) -> AsyncIterator[Feeding]:
    feeding = Feeding(stack, tmp_path)
    try:
        yield feeding
    finally:
        await feeding.close()


async def test_a_subscription_is_shown_as_it_was_made_but_for_its_secret(feeding: Feeding):
    endpoint = Endpoint()
    endpoint.url = URL
    created = await feeding.subscribe(endpoint, changed=["consent"], description="CRM")
    secret = created.pop("secret")
    assert created == {
        "id": created["id"], "url": URL, "types": [CHANGED, ERASED], "changed": ["consent"],
        "segments": [], "description": "CRM", "enabled": True, "state": "active", "reason": "",
        "disabled_at": None, "created_at": created["created_at"], "since": None, "waiting": 0,
        "last_success_at": None, "failing_since": None,
    }  # fmt: skip
    assert await feeding.shown(created) == created
    answer = await feeding.http.get("/subscriptions")
    assert answer.json() == {"items": [created], "next": None}
    stored = await feeding.cluster.database("profile")["subscriptions"].find_one(
        {"_id": created["id"]}
    )
    assert secret not in str(stored)
    assert Seals([KEY]).open(stored["secrets"][0]) == secret
    path = f"/subscriptions/{created['id']}"
    off = (await feeding.http.patch(path, json={"enabled": False, "changed": []})).json()
    assert (off["state"], off["reason"], off["changed"]) == ("disabled", "by_request", [])
    on = (await feeding.http.patch(path, json={"enabled": True})).json()
    assert (on["state"], on["reason"], on["disabled_at"]) == ("active", "", None)
    assert (await feeding.http.delete(path)).status_code == 204
    assert (await feeding.http.get(path)).status_code == 404
    assert (await feeding.http.delete(path)).status_code == 404
    database = feeding.cluster.database("profile")
    late = Entry(
        at=NOW, webhook_id="msg_1", type=CHANGED, profile_id="p", attempt=1, outcome="delivered"
    )
    assert await Ledger(database).note(created["id"], [late]) is None
    assert await database["endpoints"].count_documents({}) == 0


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://team.example/hook", "not_https"),
        ("https://10.0.0.1/hook", "private_address"),
        ("https://[::1]/hook", "private_address"),
        ("https://169.254.169.254/latest", "private_address"),
        ("https://user:password@team.example/", "bad_url"),
        ("ftp://team.example/", "bad_url"),
        ("no address", "bad_url"),
    ],
)
async def test_an_address_that_leads_inside_is_refused(feeding: Feeding, url: str, code: str):
    answer = await feeding.http.post("/subscriptions", json={"url": url})
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_what_does_not_fit_is_refused_with_the_field_and_nothing_is_kept(feeding: Feeding):
    for body in (
        {"url": URL, "types": ["regulars.unknown.v1"]},
        {"url": URL, "types": []},
        {"url": URL, "secret": "mine"},
        {"types": [CHANGED]},
    ):
        answer = await feeding.http.post("/subscriptions", json=body)
        assert (answer.status_code, bool(answer.json()["errors"])) == (422, True)
    for name in ("plan", "orders.total", "profile_id"):  # it would never be told
        body = {"url": URL, "changed": ["traits.plan", "order_count", "merged_from", name]}
        refused = (await feeding.http.post("/subscriptions", json=body)).json()
        assert (refused["code"], refused["detail"]) == (
            "unknown_name", f"Nothing is ever told as changed by these names: {name}.",
        )  # fmt: skip
    assert (await feeding.http.get("/subscriptions")).json()["items"] == []


async def test_nobody_but_an_admin_sees_or_changes_subscriptions(feeding: Feeding):
    for token, status in (("support", 403), ("unknown", 401)):
        headers = {"Authorization": f"Bearer {token}"}
        for method, path in (
            ("GET", ""), ("POST", ""), ("GET", "/x"), ("PATCH", "/x"), ("DELETE", "/x"),
            ("POST", "/x/secrets"), ("POST", "/x/test"), ("POST", "/x/replay"),
            ("GET", "/x/deliveries"),
        ):  # fmt: skip
            answer = await feeding.http.request(
                method, f"/subscriptions{path}", headers=headers, json={"url": URL}
            )
            assert answer.status_code == status, (method, path)


async def test_unknown_ids_answer_404_also_that_of_the_revision(feeding: Feeding):
    for id_ in ("sub_none", "revision", "\x00"):
        path = f"/subscriptions/{id_.replace(chr(0), '%00')}"
        answers = [
            await feeding.http.get(path),
            await feeding.http.patch(path, json={"description": "x"}),
            await feeding.http.delete(path),
            await feeding.http.post(f"{path}/secrets"),
            await feeding.http.post(f"{path}/test"),
            await feeding.http.post(f"{path}/replay", json={"since": ago(60)}),
            await feeding.http.get(f"{path}/deliveries"),
        ]
        assert {answer.status_code for answer in answers} == {404}


async def test_the_future_cannot_be_replayed(feeding: Feeding):
    endpoint = Endpoint()
    endpoint.url = URL
    created = await feeding.subscribe(endpoint)
    path = f"/subscriptions/{created['id']}/replay"
    answer = await feeding.http.post(path, json={"since": ago(-60)})
    assert (answer.status_code, answer.json()["code"]) == (422, "in_the_future")
    assert (await feeding.http.post(path, json={"since": "2026-01-01"})).status_code == 422


async def test_without_secret_keys_it_is_refused_with_what_to_do(feeding: Feeding):
    settings = feeding.settings.model_copy(update={"secret_keys": []})
    app = create_app(settings)
    feeding.http._transport.app = app  # type: ignore[attr-defined]
    answer = await feeding.http.post("/subscriptions", json={"url": URL})
    assert (answer.status_code, answer.json()["code"]) == (409, "no_secret_keys")
    app.state.client.close()


async def test_there_are_so_many_subscriptions_and_no_more(feeding: Feeding):
    collection = feeding.cluster.database("profile")["subscriptions"]
    endpoint = Endpoint()
    endpoint.url = URL
    created = await feeding.subscribe(endpoint)
    one = await collection.find_one({"_id": created["id"]})
    await collection.insert_many(
        [{**one, "_id": f"sub_{number}"} for number in range(1, MOST_SUBSCRIPTIONS)]
    )
    answer = await feeding.http.post("/subscriptions", json={"url": URL})
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_subscriptions")


async def test_an_endpoint_that_cannot_be_reached_says_so_in_a_test(feeding: Feeding):
    endpoint = Endpoint()
    async with endpoint.open():
        created = await feeding.subscribe(endpoint)
        path = f"/subscriptions/{created['id']}"
        assert (await feeding.http.post(f"{path}/test")).json()["delivered"] is True
    tested = (await feeding.http.post(f"{path}/test")).json()
    assert (tested["delivered"], tested["status"], tested["code"]) == (False, 0, "unreachable")
    # A key that is gone: nothing is sent unsigned.
    feeding.app.state.feed._seals = Seals([Fernet.generate_key().decode()])
    tested = (await feeding.http.post(f"{path}/test")).json()
    assert (tested["delivered"], tested["code"]) == (False, "no_secret")
