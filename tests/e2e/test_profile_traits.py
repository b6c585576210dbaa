"""Traits over the API on a real MongoDB: whom to believe, every word, and profiles of the past."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio

from services.profile import answers
from services.profile.api import create_app
from services.profile.build.rules.computed import Traits
from services.profile.build.rules.declared import declared_traits
from services.profile.computed.catalogue import Catalogue
from services.profile.computed.store import DefinitionStore
from services.profile.settings import ProfileSettings
from services.profile.traits import past
from services.profile.traits.declared import Declared
from services.profile.traits.past import Past
from services.profile.traits.shapes import TraitSourcesBody, TraitWord
from services.runtime.http import Problem
from services.runtime.publish import Publisher
from tests.faults.cluster import Cluster, unique_namespace
from tests.people import at
from tests.spine import Sent, Spine, event, opened, settings_of

pytestmark = pytest.mark.broker

YEAR = 365 * 86_400


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


@pytest.fixture
def sources(spine: Spine, sent: Sent) -> Catalogue:
    return Catalogue(DefinitionStore(spine.database, "trait"), sent)


@pytest_asyncio.fixture
async def api(
    settings: ProfileSettings, spine: Spine, sources: Catalogue
) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(settings)
    app.state.trait_sources = sources

    async def declared() -> Traits:
        return declared_traits(spine.current.values())

    app.state.past = Past(spine.identities, declared)
    transport = httpx.ASGITransport(app)
    headers = {"Authorization": "Bearer reader"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://profile", headers=headers
    ) as client:
        yield client
    app.state.client.close()


async def get(api: httpx.AsyncClient, path: str, **query: Any) -> Any:
    response = await api.get(path, params=query)
    assert response.status_code == 200, response.text
    return response.json()


async def put(api: httpx.AsyncClient, name: str, *sources: str, role: str = "marketer") -> Any:
    headers = {"Authorization": f"Bearer {role}"}
    body = {"sources": list(sources)}
    return await api.put(f"/v1/trait-sources/{name}", json=body, headers=headers)


def identify(message_id: str, seconds: float, source: str = "shop", **traits: Any) -> Any:
    return event(message_id, seconds, "identify", user_id="ann", source=source, traits=traits)


ANN = "/v1/profiles/by/user_id/ann"


@pytest.mark.parametrize("arrival", [["m1", "m2", "m3"], ["m3", "m2", "m1"]])
async def test_words_of_one_instant_stand_in_one_order_and_the_same_holds(api, spine, arrival):
    for id_ in arrival:
        await spine.happened(identify(id_, 1, plan=f"of {id_}"))
    ann = await get(api, ANN)
    words = (await get(api, f"/v1/profiles/{ann['profile_id']}/traits/plan/history"))["items"]
    told = [(one["message_id"], one["holds"]) for one in words]
    assert told == [("m1", False), ("m2", False), ("m3", True)]
    assert ann["traits"]["plan"] == "of m3"


# -- whom to believe ----------------------------------------------------------------------


async def test_declared_sources_make_every_profile_another_and_none_make_it_what_it_was(
    api, spine, sources
):
    async def swept(*names: str) -> Any:
        assert (await put(api, "plan", *names)).status_code == 200
        spine.current = {("trait", one.name): one for one in await sources.store.all()}
        spine.revision += 1
        await spine.happened(event(f"look {names}", 9, event="Cart Viewed", user_id="ann"))
        return (await get(api, ANN))["traits"]["plan"]

    await spine.happened(identify("m1", 1, "crm", plan="gold"), identify("m2", 2, plan="free"))
    assert (await get(api, ANN))["traits"]["plan"] == "free"
    assert await swept("crm") == "gold"
    await spine.happened(identify("m3", 3, plan="none"))
    assert (await get(api, ANN))["traits"]["plan"] == "gold"
    assert await swept() == "none"


async def test_sources_are_stored_told_to_the_workers_and_shown(api, sent):
    first = (await put(api, "*", "crm", "shop")).json()
    assert (first["name"], first["version"], first["published"]) == ("*", 1, True)
    assert first["sources"] == ["crm", "shop"]
    assert await get(api, "/v1/trait-sources/*") == first
    assert (await get(api, "/v1/trait-sources"))["items"] == [first]
    assert [message.key for message in sent] == ["trait/*"]
    assert msgspec.json.decode(sent[0].value)["body"] == {"sources": ["crm", "shop"]}


async def test_sources_that_are_deleted_are_taken_from_the_workers_too(api, sent):
    async def delete(role: str = "marketer") -> int:
        headers = {"Authorization": f"Bearer {role}"}
        return (await api.delete("/v1/trait-sources/plan", headers=headers)).status_code

    assert await delete() == 404
    await put(api, "plan", "crm")
    assert await delete("support") == 403
    sent.fails = True
    assert await delete() == 503
    sent.fails = False
    assert await delete() == 404
    assert (await api.get("/v1/trait-sources/plan")).status_code == 404
    again = (await put(api, "plan", "shop")).json()
    assert (again["version"], again["published"]) == (3, True)
    assert await delete() == 204
    assert [(message.key, message.value is None) for message in sent] == [
        ("trait/plan", False), ("trait/plan", False), ("trait/plan", True),
    ]  # fmt: skip


async def test_only_marketers_declare_sources_and_each_source_once(api, sent):
    assert (await put(api, "plan", "crm", role="reader")).status_code == 403
    assert (await put(api, "plan", "crm", role="support")).status_code == 403
    refused = await put(api, "plan", "crm", "crm")
    assert (refused.status_code, refused.json()["errors"][0]["at"]) == (422, "body.sources")
    assert (await put(api, "plan", "")).status_code == 422
    assert (await api.get("/v1/trait-sources/plan")).status_code == 404
    assert sent == []


# -- every word on a trait ----------------------------------------------------------------


async def test_the_history_of_a_trait_tells_every_word_newest_first_with_its_message(api, spine):
    browsed = event("m3", 3, event="Cart Viewed", user_id="ann", context={"traits": {"plan": None}})
    await spine.happened(
        identify("m2", 2, plan="gold"),
        browsed,
        identify("m1", 1, "crm", plan="free", tags=["a"]),
        identify("m4", 4, tags={"$add": ["b"]}),
    )
    ann = (await get(api, ANN))["profile_id"]
    words = (await get(api, f"/v1/profiles/{ann}/traits/plan/history"))["items"]
    for word in words:
        TraitWord.model_validate(word)
    assert [(w["message_id"], w["value"], w["source"], w["holds"]) for w in words] == [
        ("m3", None, "", True), ("m2", "gold", "shop", False), ("m1", "free", "crm", False),
    ]  # fmt: skip
    assert words[0]["name"] == "Cart Viewed"
    assert words[0]["at"] == "2026-03-01T12:00:03Z"
    tags = (await get(api, f"/v1/profiles/{ann}/traits/tags/history"))["items"]
    assert [(w["value"], w["holds"]) for w in tags] == [({"$add": ["b"]}, True), (["a"], True)]


async def test_a_history_is_paged_and_a_page_reads_only_so_much(api, spine, monkeypatch):
    monkeypatch.setattr(past, "_PAGE", 2)
    said = [identify(f"m{n}", n, **({"plan": n} if n % 3 == 0 else {"city": n})) for n in range(9)]
    await spine.happened(*said)
    path = f"/v1/profiles/{(await get(api, ANN))['profile_id']}/traits/plan/history"

    async def walk(limit: int) -> list[list[int]]:
        pages, cursor = [], None
        while True:
            page = await get(api, path, limit=limit, **({"cursor": cursor} if cursor else {}))
            pages.append([word["value"] for word in page["items"]])
            if (cursor := page["next"]) is None:
                return pages

    assert await walk(2) == [[6, 3], [0]]
    monkeypatch.setattr(past, "MOST_READ", 3)
    assert await walk(50) == [[6], [3], [0], []]


# -- the past -----------------------------------------------------------------------------


async def test_a_profile_of_the_past_is_what_happened_until_then_and_all_that_follows_from_it(
    api, spine
):
    consent = {"consent": {"categoryPreferences": {"email": True}}}
    spine.current = {}
    await spine.happened(
        event("v", 1, event="Product Viewed", anonymous_id="phone", properties={"category": "tea"}),
        event("o", 2, event="Order Completed", user_id="ann",
              properties={"order_id": "o1", "revenue": "9.00"}),
        event("l", 3, "identify", user_id="ann", anonymous_id="phone",
              traits={"plan": "free"}, context=consent),
        event("r", 4, event="Order Refunded", user_id="ann",
              properties={"order_id": "o1", "total": "4.00"}),
        identify("late", 2.5, plan="old"),
        event("u", 5, event="Unsubscribed", user_id="ann"),
    )  # fmt: skip
    now = await get(api, ANN)
    path = f"/v1/profiles/{now['profile_id']}"

    async def then(second: str) -> Any:
        shown = await get(api, path, at=f"2026-03-01T12:00:0{second}Z")
        answers.Profile.model_validate(shown)
        assert (shown["version"], shown["profile_id"]) == (0, now["profile_id"])
        assert shown["as_of"] == f"2026-03-01T12:00:0{second}Z"
        return shown

    first = await then("1")
    assert (first["interactions"], first["orders"], first["traits"]) == (1, [], {})
    assert first["favourite_category"] == "tea"
    assert (await then("2.400000"))["traits"] == {}
    assert (await then("2.500000"))["traits"] == {"plan": "old"}
    third = await then("3")
    assert third["traits"] == {"plan": "free"}
    assert third["revenue"] == [{"amount": "9.00", "currency": "USD"}]
    assert third["consent"]["email"]["state"] == "granted"
    assert (await then("4"))["revenue"] == [{"amount": "5.00", "currency": "USD"}]
    last = await then("9")
    assert last | {"version": now["version"], "as_of": None} == now
    former = now["merged_from"][0]
    assert await get(api, f"/v1/profiles/{former}", at="2026-03-01T12:00:03Z") == third


async def test_what_cannot_be_told_of_the_past_is_a_problem_that_says_why(api, spine, monkeypatch):
    await spine.happened(*(identify(f"m{n}", n, plan=n) for n in range(3)))
    path = f"/v1/profiles/{(await get(api, ANN))['profile_id']}"

    async def refused(instant: str, who: str = path) -> tuple[int, str]:
        response = await api.get(who, params={"at": instant})
        assert response.headers["content-type"] == "application/problem+json"
        return response.status_code, response.json().get("detail", "")

    assert await refused("2026-03-01T11:59:59Z") == (
        404, "Nothing that happened until then is known of them.",
    )  # fmt: skip
    assert (await refused("2026-03-01T12:00:09Z", "/v1/profiles/nobody"))[0] == 404
    ends = ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00")
    for odd in ("yesterday", "2026-03-01T12:00:09", "9" * 30, "\x00", *ends):
        assert (await refused(odd))[0] == 422
    broken = {"p": path.rpartition("/")[2], "t": at(1), "n": "Identify", "b": b"{"}
    await spine.database["interactions"].insert_one({"_id": "broken", **broken})
    shown = await get(api, path, at="2026-03-01T12:00:09Z")
    assert (shown["interactions"], shown["traits"]) == (3, {"plan": 2})
    assert len((await get(api, f"{path}/traits/plan/history"))["items"]) == 3
    monkeypatch.setattr(past, "MOST_FOLDED", 2)
    assert (await api.get(path, params={"at": "2026-03-01T12:00:01Z"})).status_code == 200
    status, detail = await refused("2026-03-01T12:00:02Z")
    assert status == 422
    assert "earlier instant" in detail


async def test_identifies_of_last_year_imported_after_todays_change_nothing_current(api, spine):
    today = identify("today", YEAR, plan="gold", city="Rome")
    bought = event(
        "order", YEAR + 1, event="Order Completed", user_id="ann",
        properties={"order_id": "o1", "revenue": "9.00"},
        context={"locale": "it-IT", "timezone": "Europe/Rome"},
    )  # fmt: skip
    await spine.happened(today, bought)
    before = await get(api, ANN)
    imported = [
        event(
            f"old {n}", n, "identify", user_id="ann", flags=["history"],
            traits={"plan": "free", "city": "Bern", "newsletter": n},
            context={"locale": "de-CH", "timezone": "Europe/Zurich"},
        )
        for n in (3, 1, 2)
    ]  # fmt: skip
    await spine.happened(*imported)
    after = await get(api, ANN)
    current = before | {
        name: after[name] for name in ("version", "first_seen", "interactions", "counters")
    }
    assert after == current | {"traits": before["traits"] | {"newsletter": 3}}
    assert after["first_seen"] == "2026-03-01T12:00:01Z"
    then = await get(api, f"/v1/profiles/{after['profile_id']}", at="2026-06-01T00:00:00Z")
    assert then["traits"] == {"plan": "free", "city": "Bern", "newsletter": 3}
    assert then["locale"] == "de-CH"


async def test_the_past_is_told_by_the_traits_that_lie_on_the_topic(stack, tmp_path):
    cluster = Cluster(stack, unique_namespace(), tmp_path, publish_within_s=60)
    publisher = Publisher(cluster.settings, "test")
    try:
        await cluster.create_topics([])
        await publisher.start()
        catalogue = Catalogue(DefinitionStore(cluster.database("profile"), "trait"), publisher)
        declared = Declared(cluster.settings)
        before = await declared()
        await catalogue.put("plan", TraitSourcesBody(sources=["crm", "shop"]))
        assert await declared() is before  # for some seconds
        after = await Declared(cluster.settings)()
        assert [traits.trust.rank("plan", "shop") for traits in (before, after)] == [0, 1]
    finally:
        await publisher.stop()
        await cluster.close()


async def test_without_a_broker_the_past_is_asked_for_again_later(settings):
    away = settings.model_copy(update={"kafka_url": "127.0.0.1:1"})
    with pytest.raises(Problem) as problem:
        await Declared(away)()
    assert problem.value.status == 503
