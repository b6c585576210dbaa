"""The consent routes on a real MongoDB: the ledger of two times, and what support writes down."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio

from schemas.addresses import digest_of
from schemas.messages import ConsentRequested, Event
from services.notifier import confirmation
from services.profile.api import create_app
from services.profile.consent import answers
from services.profile.consent.desk import Desk
from services.profile.consent.store import ConsentStore
from services.profile.settings import ProfileSettings
from services.runtime.http import Page
from tests.people import at
from tests.spine import Sent, Spine, event, opened, settings_of

pytestmark = pytest.mark.broker

SUPPORT = {"Authorization": "Bearer support"}
LEFT = {"channel": "email", "state": "withdrawn", "actor": "Bea", "proof": {"call": 17}}


def consented(id: str, seconds: float, state: str, **fields: Any) -> Event:
    said = {"channel": "email", "state": state, **fields.pop("said", {})}
    return event(id, seconds, event="Consent Updated", properties=said, **fields)


VISIT = event(
    "visit", 1, event="Page Viewed", anonymous_id="phone",
    context={"consent": {"categoryPreferences": {"email": True, "analytics": False}},
             "ip": "192.0.2.1", "page": {"url": "https://shop.example/"}},
)  # fmt: skip
LOGIN = event("login", 2, "identify", user_id="u1", anonymous_id="phone")
OTHER = consented("till", 3, "denied", anonymous_id="tablet")
LINK = event("link", 4, "identify", user_id="u1", anonymous_id="tablet")
AGAIN = consented("again", 5, "granted", user_id="u1", said={"text_version": "v2"})


@pytest.fixture
def settings(stack: Any) -> ProfileSettings:
    return settings_of(stack)


@pytest_asyncio.fixture
async def spine(settings: ProfileSettings) -> AsyncIterator[Spine]:
    async with opened(settings) as spine:
        yield spine


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest_asyncio.fixture
async def api(
    settings: ProfileSettings, spine: Spine, sent: Sent
) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(settings)
    store = ConsentStore(spine.database)
    app.state.consent = Desk(store, app.state.people, sent, clock=lambda: at(1_000))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://profile",
        headers={"Authorization": "Bearer reader"},
    ) as client:
        yield client
    app.state.client.close()


async def path_of(api: httpx.AsyncClient, spine: Spine, *events: Event) -> str:
    await spine.happened(*events)
    shown = await api.get("/v1/profiles/by/user_id/u1")
    return f"/v1/profiles/{shown.json()['profile_id']}/consent"


async def get(api: httpx.AsyncClient, path: str, **query: Any) -> Any:
    response = await api.get(path, params=query)
    assert response.status_code == 200, response.text
    return response.json()


async def told(api: httpx.AsyncClient, sent: Sent, spine: Spine) -> None:
    """What was published reaches the profile."""
    await spine.happened(*(msgspec.json.decode(one.value, type=Event) for one in sent))


async def test_the_ledger_has_every_statement_newest_first_and_across_a_merge(api, spine):
    path = await path_of(api, spine, VISIT, LOGIN, OTHER, LINK, AGAIN)
    first = await get(api, path, limit=2)
    second = await get(api, path, limit=2, cursor=first["next"])
    Page[answers.Statement].model_validate(first)
    assert set(first["items"][0]) == set(answers.Statement.model_fields)
    lines = [
        (one["statement_id"], one["channel"], one["purpose"], one["state"])
        for one in first["items"] + second["items"]
    ]
    assert lines == [
        ("again", "email", "marketing", "granted"),
        ("till", "email", "marketing", "denied"),
        ("visit", "email", "marketing", "granted"),
        ("visit", "web", "analytics", "denied"),
    ]
    assert second["next"] is None
    assert (second["items"][0]["ip"], second["items"][0]["page"]) == (
        "192.0.2.1", "https://shop.example/",
    )  # fmt: skip


async def test_the_past_is_answered_as_it_was_and_as_it_was_known(api, spine):
    late = consented("late", 2, "withdrawn", user_id="u1")
    late.received_at = at(50)
    path = await path_of(api, spine, VISIT, LOGIN, late, AGAIN)

    async def answer(**when: Any) -> tuple[str, str | None]:
        said = await get(api, f"{path}/email", **when)
        answers.Permission.model_validate(said)
        return said["state"], said["statement"] and said["statement"]["statement_id"]

    def instant(seconds: float) -> str:
        return at(seconds).isoformat()

    assert await answer() == ("granted", "again")
    assert await answer(at=instant(4)) == ("withdrawn", "late")
    assert await answer(at=instant(4), as_of=instant(49)) == ("granted", "visit")
    assert await answer(at=instant(0)) == ("none", None)
    assert await answer(as_of=instant(4)) == ("granted", "visit")
    page = await get(api, path, at=instant(4), as_of=instant(49))
    assert {one["statement_id"] for one in page["items"]} == {"visit"}


async def test_support_writes_down_a_withdrawal_that_stands_with_name_and_proof(api, spine, sent):
    path = await path_of(api, spine, VISIT, LOGIN)
    response = await api.post(path, json=LEFT, headers=SUPPORT)
    answer = response.json()
    answers.Recorded.model_validate(answer)
    assert (response.status_code, answer["at"], answer["recorded_at"]) == (
        202, "2026-03-01T12:16:40Z", "2026-03-01T12:16:40Z",
    )  # fmt: skip
    await told(api, sent, spine)
    said = await get(api, f"{path}/email")
    assert (said["allowed"], said["state"], said["since"]) == (False, "withdrawn", answer["at"])
    assert said["statement"] == {
        "statement_id": answer["statement_id"], "channel": "email", "purpose": "marketing",
        "state": "withdrawn", "at": answer["at"], "recorded_at": answer["at"],
        "by": {"kind": "agent", "name": "Bea"}, "source": "support", "event": "Consent Updated",
        "text_version": "", "ip": "", "page": "", "proof": {"call": 17},
    }  # fmt: skip


async def test_a_repeated_idempotency_key_has_one_effect_and_another_body_under_it_none(
    api, spine, sent
):
    path = await path_of(api, spine, VISIT, LOGIN)
    once = {**SUPPORT, "Idempotency-Key": "form-7"}
    first = await api.post(path, json=LEFT, headers=once)
    assert (await api.post(path, json=LEFT, headers=once)).json() == first.json()
    other = await api.post(path, json={**LEFT, "channel": "sms"}, headers=once)
    assert other.status_code == 422
    await told(api, sent, spine)
    assert [message.value for message in sent] == [sent[0].value] * 2
    page = await get(api, path)
    assert [one["state"] for one in page["items"]].count("withdrawn") == 1
    without = [await api.post(path, json=LEFT, headers=SUPPORT) for _ in range(2)]
    assert without[0].json()["statement_id"] != without[1].json()["statement_id"]


async def test_while_kafka_is_away_the_same_key_can_be_sent_again(api, spine, sent):
    path = await path_of(api, spine, VISIT, LOGIN)
    once = {**SUPPORT, "Idempotency-Key": "form-8"}
    sent.fails = True
    away = await api.post(path, json=LEFT, headers=once)
    assert (away.status_code, away.headers["retry-after"]) == (503, "5")
    sent.fails = False
    assert (await api.post(path, json=LEFT, headers=once)).status_code == 202
    assert len(sent) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"state": "granted", "proof": None},
        {"state": "maybe"},
        {"channel": "fax"},
        {"purpose": "A/B"},
        {"actor": " "},
        {"actor": None},
        {"at": "2026-03-01T12:16:41Z"},
        {"at": "2026-03-01T12:00:00"},
        {"proof": "x" * 5_000},
        {"surprise": 1},
    ],
)
async def test_a_statement_that_does_not_fit_is_refused_and_told_to_nobody(
    api, spine, sent, change
):
    path = await path_of(api, spine, VISIT, LOGIN)
    response = await api.post(path, json=LEFT | change, headers=SUPPORT)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert sent == []


async def test_only_support_and_admins_write_and_nobody_reads_without_a_token(api, spine):
    path = await path_of(api, spine, LOGIN)
    for role, status in {"reader": 403, "marketer": 403, "support": 202, "admin": 202}.items():
        headers = {"Authorization": f"Bearer {role}"}
        assert (await api.post(path, json=LEFT, headers=headers)).status_code == status
    assert (await api.get(path, headers={"Authorization": ""})).status_code == 401


async def test_what_does_not_exist_or_fit_is_a_problem(api):
    for path, status in {
        "/v1/profiles/nobody/consent": 404,
        "/v1/profiles/nobody/consent/email": 404,
        "/v1/profiles/nobody/consent/fax": 422,
        "/v1/profiles/nobody/consent/email?purpose=A%20B": 422,
        "/v1/profiles/nobody/consent/email?at=yesterday": 422,
        "/v1/profiles/nobody/consent/email?at=0001-01-01T00:00:00%2B14:00": 422,
        "/v1/profiles/nobody/consent/email?as_of=9999-12-31T23:59:59-14:00": 422,
        "/v1/profiles/nobody/consent?cursor=rubbish": 400,
    }.items():
        assert (path, (await api.get(path)).status_code) == (path, status)
    refused = await api.post("/v1/profiles/nobody/consent", json=LEFT, headers=SUPPORT)
    assert refused.status_code == 404


async def test_a_grant_of_the_website_counts_once_it_is_confirmed_by_the_mailed_link(
    stack: Any, sent: Sent
):
    settings = settings_of(stack)
    settings.profile_confirmed_consent = ("email@website since 2026-03-01",)
    spine = Spine(settings)
    await spine.prepare()
    app = create_app(settings)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://profile",
        headers={"Authorization": "Bearer reader"},
    ) as api:  # fmt: skip
        path = await path_of(api, spine, LOGIN)
        await spine.happened(
            event("a", 2.5, "identify", user_id="u1", traits={"email": "ann@x.io"}),
            consented("grant", 3, "granted", user_id="u1", source="website"),
            consented("again", 4, "granted", user_id="u1", source="website"),
        )
        said = await get(api, f"{path}/email")
        assert (said["allowed"], said["state"], said["reason"]) == (
            False, "pending", "consent_pending",
        )  # fmt: skip
        shown = await get(api, path.removesuffix("/consent"))
        assert shown["consent"]["email"]["state"] == "denied"
        asked = [
            msgspec.json.decode(message.value, type=ConsentRequested)
            for message in spine.told
            if message.topic == "consent.requests"
        ]
        assert [one.statement_id for one in asked] == ["grant", "again"]
        assert {(one.address, one.explicit) for one in asked} == {(digest_of("ann@x.io"), True)}
        ids = {confirmation.message_ids(one)[0] for one in asked}
        assert len(ids) == 1  # and so the person is asked once
        entry = confirmation.decide(asked[0], "x", at(5), timedelta(days=7))
        step = confirmation.confirmed(entry, at(9), "192.0.2.7")
        await spine.happened(step, step)
        said = await get(api, f"{path}/email")
        assert (said["allowed"], said["reason"]) == (True, "consent_confirmed")
        line = (await get(api, path))["items"][0]
        assert (line["state"], line["ip"], line["source"]) == ("confirmed", "192.0.2.7", "notifier")
        assert line["proof"] == {
            "message_id": entry.message_id, "statement_id": "grant",
            "email_sha256": digest_of("ann@x.io"),
        }  # fmt: skip

        # Of another address nothing is confirmed: it is asked, and the old link does not help.
        await spine.happened(
            event("b", 20, "identify", user_id="u1", traits={"email": "ann@home.io"}), step
        )
        said = await get(api, f"{path}/email")
        assert (said["allowed"], said["reason"]) == (False, "consent_pending")
        before = await get(api, f"{path}/email", at=at(19).isoformat())
        assert (before["allowed"], before["reason"]) == (True, "consent_confirmed")
        told = msgspec.json.decode(spine.told[-2].value)
        assert {"traits.email", "consent.email"} <= set(told["changed"])
        assert told["before"]["consent.email"]["state"] == "granted"
        new = msgspec.json.decode(spine.told[-1].value, type=ConsentRequested)
        assert (new.statement_id, new.address, new.asked_at, new.explicit) == (
            "again", digest_of("ann@home.io"), at(20), False,
        )  # fmt: skip
        assert confirmation.message_ids(new) != confirmation.message_ids(asked[0])
        entry = confirmation.decide(new, "x", at(21), timedelta(days=7))
        await spine.happened(confirmation.confirmed(entry, at(30), ""))
        said = await get(api, f"{path}/email")
        assert (said["allowed"], said["reason"]) == (True, "consent_confirmed")
    app.state.client.close()
    await spine.client.drop_database(spine.database.name)
    spine.client.close()
